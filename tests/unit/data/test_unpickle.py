from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genfoundry.data.sources import SourceError
from genfoundry.data.unpickle import View, read_arrays

RNG = np.random.default_rng(0)


def as_torch(state: Any) -> bytes:
    """A file as torch wrote it before 1.6."""
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def state() -> OrderedDict[str, torch.Tensor]:
    shared = torch.randn(4, 6)
    return OrderedDict(
        {
            "conv.weight": torch.randn(2, 3, 3, 3),
            "conv.bias": torch.zeros(2),
            "tied": shared,
            "turned": shared.T[1:5:2],
            "count": torch.tensor(7),
            "learned": torch.nn.Parameter(torch.ones(3)).data,
        }
    )


@pytest.mark.parametrize("protocol", [3, 4])
def test_nested_numpy_arrays_come_back_under_dotted_names(protocol: int) -> None:
    tree = {
        "trunk": {"conv_0": {"kernel": RNG.random((3, 3, 2, 4), np.float32), "bias": RNG.random(4)}},
        "head": np.asfortranarray(RNG.random((2, 5), np.float32)),
        "steps": np.array(3),
        "big": np.arange(4, dtype=">i4"),
    }
    found = read_arrays(pickle.dumps(tree, protocol=protocol))
    assert set(found) == {"trunk.conv_0.kernel", "trunk.conv_0.bias", "head", "steps", "big"}
    for name, expected in (("trunk.conv_0.kernel", tree["trunk"]["conv_0"]["kernel"]), ("head", tree["head"])):
        assert np.array_equal(found[name], expected)
        assert found[name].dtype == np.float32
        assert found[name].flags.c_contiguous
    assert found["steps"].shape == ()
    assert found["big"].tolist() == [0, 1, 2, 3]


def as_script(module: torch.nn.Module) -> bytes:
    """A TorchScript archive."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(module), stream)
    return stream.getvalue()


def test_a_torchscript_s_tensors_come_back_and_its_code_is_not_read() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(2, 3, 3), norm=torch.nn.BatchNorm2d(3)))
    found = read_arrays(as_script(module))
    assert set(found) == set(module.state_dict())
    for name, tensor in module.state_dict().items():
        assert np.array_equal(found[name], tensor.numpy())
        assert found[name].flags.c_contiguous


def archive(content: bytes, **files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, data in {"a/data.pkl": content, **files}.items():
            made.writestr(name, data)
    return stream.getvalue()


def test_an_archive_is_held_to_the_same_names() -> None:
    hostile = b"cposix\nsystem\n(S'true'\ntR."
    with pytest.raises(SourceError, match=r"asks for posix\.system, which is no array: refused"):
        read_arrays(archive(hostile))


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", archive(pickle.dumps({}))[:-20]])
def test_a_damaged_archive_is_a_line(content: bytes) -> None:
    with pytest.raises(SourceError, match="not a file of arrays: BadZipFile"):
        read_arrays(content)


def test_an_archive_that_would_grow_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/data.pkl", pickle.dumps({}))
    with pytest.raises(SourceError, match="compressed"):
        read_arrays(stream.getvalue())


def test_a_torch_state_dict_comes_back_as_torch_reads_it() -> None:
    expected = state()
    found = read_arrays(as_torch(expected))
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert np.array_equal(found[name], value.numpy())


def test_a_module_s_state_dict_with_its_attributes_is_read() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    found = read_arrays(as_torch(module.state_dict()))
    assert set(found) == set(module.state_dict())
    assert found["1.num_batches_tracked"].dtype == np.int64


class Hostile:
    """Its pickle asks for a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("place", ["root", "leaf", "torch"])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "posix.system"), (eval, "_*builtins?_*.eval"), (np.load, "numpy.load"), (torch.load, "torch.")],
)
def test_a_pickle_that_asks_for_a_call_is_refused_before_it_is_made(
    tmp_path: Path, place: str, function: Any, name: str
) -> None:
    mark = tmp_path / "ran"
    argument = {os.system: f"touch {mark}", eval: f"open({str(mark)!r}, 'w')"}.get(function, str(mark))
    hostile = Hostile(function, argument)
    content = {
        "root": lambda: pickle.dumps(hostile),
        "leaf": lambda: pickle.dumps({"a": np.zeros(2), "b": hostile}, protocol=3),
        "torch": lambda: as_torch(OrderedDict(a=torch.zeros(2), b=hostile)),
    }[place]()
    with pytest.raises(SourceError, match=rf"asks for {name}.*refused, and nothing was run"):
        read_arrays(content)
    assert not mark.exists()
    if function is os.system:  # the same bytes are a weapon elsewhere
        pickle.loads(pickle.dumps(hostile))
        assert mark.exists()


@pytest.mark.parametrize(
    "view",
    [
        View(("a", "<f4"), 0, (3,), (1,), False, None),
        View(("a", "<f4"), 1, (2,), (1,), False, None),
        View(("a", "<f4"), 0, (2,), (100,), False, None),
        View(("a", "<f4"), 0, (2,), (-1,), False, None),
        View(("a", "<f4"), -1, (1,), (1,), False, None),
        View(("a", "|O"), 0, (1,), (1,), False, None),
    ],
)
def test_a_view_cannot_leave_its_bytes_nor_take_them_for_addresses(view: View) -> None:
    with pytest.raises((ValueError, SourceError)):
        view.value({"a": bytes(8)})


@pytest.mark.parametrize("content", [pickle.dumps({"a": np.zeros(40)}, protocol=3), as_torch(state())])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.4, 0.98])
def test_a_truncated_file_is_refused(content: bytes, kept: float) -> None:
    with pytest.raises(SourceError, match="not a file of arrays"):
        read_arrays(content[: int(kept * len(content))])


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip",
        pickle.dumps({"a": 1}),
        pickle.dumps([1, 2]),
        pickle.dumps({"a": np.array(["x"])}, protocol=3),
        pickle.dumps({"a": np.array([1, None], dtype=object)}, protocol=3),
        pickle.dumps({"a": np.zeros(2, dtype=complex)}, protocol=3),
    ],
)
def test_anything_but_numbers_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError):
        read_arrays(content)
