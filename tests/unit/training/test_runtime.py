from __future__ import annotations

import numpy as np
import pytest
import torch

from genfoundry.training.runtime import Runtime, seed_step

CPU = Runtime(torch.device("cpu"))


def test_bytes_become_the_unit_interval_and_the_rest_keeps_its_type() -> None:
    batch = CPU.batch({"image": np.array([[0, 51, 255]], np.uint8), "label": np.array([3]), "z": np.ones(2, "f4")})
    torch.testing.assert_close(batch["image"], torch.tensor([[0.0, 0.2, 1.0]]))
    assert batch["label"].dtype == torch.int64
    assert batch["z"].tolist() == [1, 1]


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_sets_the_precision_of_the_forward_pass(precision: str, dtype: torch.dtype) -> None:
    with Runtime(torch.device("cpu"), precision).autocast():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype


def draw(seed: int, step: int) -> float:
    seed_step(seed, step)
    return float(torch.rand(1, dtype=torch.float64))


def test_randomness_follows_from_seed_and_step_alone() -> None:
    grid = {(seed, step): draw(seed, step) for seed in range(10) for step in range(10)}
    assert len(set(grid.values())) == 100
    assert grid[3, 7] == draw(3, 7)
    assert np.corrcoef([grid[s, t] for s, t in grid], [s + t for s, t in grid])[0, 1] < 0.4


def test_the_best_runtime_is_deterministic() -> None:
    runtime = Runtime.best("bf16")
    assert runtime.precision == "bf16"
    assert runtime.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
