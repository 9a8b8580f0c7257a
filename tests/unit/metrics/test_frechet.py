from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics.frechet import METRIC, frechet_distance


def features(count: int, width: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((width, width))
    return (rng.standard_normal((count, width)) * (1 + shift) @ mixing + shift).astype(np.float32)


def by_torchmetrics(a: np.ndarray, b: np.ndarray) -> float:
    from torchmetrics.image.fid import _compute_fid

    moments = [torch.from_numpy(m) for x in (a, b) for m in (x.mean(0), np.cov(x, rowvar=False))]
    return float(_compute_fid(*moments))


def by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    c_a, c_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c_a @ c_b).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c_a + c_b - 2 * root))


@pytest.mark.parametrize("reference", [by_torchmetrics, by_sqrtm])
@pytest.mark.parametrize("counts", [(400, 400), (400, 90)])
def test_agrees_with_other_implementations(reference, counts: tuple[int, int]) -> None:
    a, b = features(counts[0], 24), features(counts[1], 24, seed=1, shift=0.3)
    expected = reference(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("count", "width"), [(200, 8), (10, 50)])
def test_is_a_symmetric_distance_that_vanishes_on_equal_sets(count: int, width: int) -> None:
    a, b = features(count, width), features(count, width, seed=1, shift=0.2)
    scale = float(np.cov(a, rowvar=False).trace())
    assert abs(frechet_distance(a, a)) < 1e-9 * scale
    assert abs(frechet_distance(a, a[::-1])) < 1e-9 * scale
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, b) > 0


def test_a_shift_costs_its_squared_length() -> None:
    a, step = features(300, 6).astype(np.float64), np.arange(6.0)
    assert frechet_distance(a, a + step) == pytest.approx(np.square(step).sum(), rel=1e-9)


def test_scaling_costs_the_trace() -> None:
    a = features(300, 6).astype(np.float64)
    a -= a.mean(0)
    assert frechet_distance(a, 3 * a) == pytest.approx(4 * np.cov(a, rowvar=False).trace(), rel=1e-9)


def test_a_smaller_distance_is_better() -> None:
    assert METRIC.better == "lower"
