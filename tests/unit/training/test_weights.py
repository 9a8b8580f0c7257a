from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from genfoundry.training.weights import load_weights, reached, save_weights
from tests.unit import tiny


def test_only_tensors_that_graphs_reach_are_saved(tmp_path: Path) -> None:
    model = tiny.Net()
    save_weights(tmp_path / "w", model)
    expected = {name for name in model.state_dict() if not name.startswith("helper")}
    assert set(load_file(tmp_path / "w")) == set(reached(model)) == expected
    assert any("running_var" in name for name in expected)


def test_weights_come_back_into_another_model(tmp_path: Path) -> None:
    source, target = tiny.Net(), tiny.Net()
    helper = target.helper.weight.clone()
    save_weights(tmp_path / "w", source)
    load_weights(tmp_path / "w", target)
    torch.testing.assert_close(reached(target), reached(source), rtol=0, atol=0)
    assert torch.equal(target.helper.weight, helper)


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.manual_seed(0)
        save_weights(tmp_path / name, tiny.Net())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("change", ["unknown", "missing"])
def test_other_tensors_than_the_graphs_need_are_refused(tmp_path: Path, change: str) -> None:
    model = tiny.Net()
    tensors = {name: t.detach().clone() for name, t in reached(model).items()}
    if change == "unknown":
        tensors["extra.weight"] = torch.zeros(1)
    else:
        del tensors["head.bias"]
    save_file(tensors, tmp_path / "w")
    with pytest.raises(ValueError, match=r"does not fit the model: (extra\.weight|head\.bias)$"):
        load_weights(tmp_path / "w", model)


def test_tied_weights_ship() -> None:
    model = tiny.Net()
    twin = nn.Linear(6, 1)
    twin.weight = model.head.weight
    model.head = nn.Sequential(model.head, nn.Linear(1, 6), twin)
    assert {"head.0.weight", "head.2.weight"} <= set(reached(model))


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    model = tiny.Net()
    twin = nn.Linear(6, 1)
    twin.weight = model.head.weight
    model.head = nn.Sequential(model.head, nn.Linear(1, 6), twin)
    save_weights(tmp_path / "w", model)
