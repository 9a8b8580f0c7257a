from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from genfoundry.training.checkpoint import load_checkpoint, load_shipped, save_checkpoint, step_of


def trained(seed: int, steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def test_everything_comes_back(tmp_path: Path) -> None:
    model, optimizer = trained(0, steps=3)
    save_checkpoint(tmp_path / "c", 3, {"model": model}, {"net": optimizer})
    other, fresh = trained(1, steps=0)
    assert load_checkpoint(tmp_path / "c", {"model": other}, {"net": fresh}) == 3
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(fresh.state_dict()["state"], optimizer.state_dict()["state"], rtol=0, atol=0)


def test_no_checkpoint_is_step_zero_and_changes_nothing(tmp_path: Path) -> None:
    model, optimizer = trained(0, steps=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert load_checkpoint(tmp_path / "none", {"model": model}, {"net": optimizer}) == 0
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("ema", [False, True])
def test_what_ships_is_the_average_where_there_is_one(tmp_path: Path, ema: bool) -> None:
    model, optimizer = trained(0, steps=3)
    average = AveragedModel(trained(1, steps=1)[0])
    average.update_parameters(model)
    modules = {"model": model, "ema": average} if ema else {"model": model}
    save_checkpoint(tmp_path / "c", 3, modules, {"net": optimizer})
    other, _ = trained(2, steps=0)
    load_shipped(tmp_path / "c", other)
    expected = average.module if ema else model
    torch.testing.assert_close(other.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_says_its_step_and_none_is_step_zero(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", 7, {}, {})
    assert step_of(tmp_path / "c") == 7
    assert step_of(tmp_path / "none") == 0


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        model, optimizer = trained(0, steps=2)
        save_checkpoint(tmp_path / name, 2, {"model": model}, {"net": optimizer})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "net",
        "model",
    ],
)
def test_an_optimizer_may_have_any_name(tmp_path: Path, name: str) -> None:
    model, optimizer = trained(0, steps=1)
    save_checkpoint(tmp_path / "c", 1, {"model": model}, {name: optimizer})
    assert load_checkpoint(tmp_path / "c", {"model": model}, {name: optimizer}) == 1


def test_a_part_of_another_shape_is_refused(tmp_path: Path) -> None:
    model, optimizer = trained(0, steps=1)
    save_checkpoint(tmp_path / "c", 1, {"model": model}, {"net": optimizer})
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_checkpoint(tmp_path / "c", {"model": nn.Sequential(nn.Linear(2, 4), *model[1:])}, {})
