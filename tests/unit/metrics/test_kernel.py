from __future__ import annotations

import numpy as np
import pytest
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics import Sampled
from genfoundry.metrics.kernel import kernel_distance, kid_judge
from tests.unit import tiny

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((60, 16)).astype(np.float32), (RNG.standard_normal((60, 16)) + 0.3).astype(np.float32)
CONFIG = tiny.evaluation(kid_subsets=5, kid_subset_size=40)


def sampled(a: np.ndarray, b: np.ndarray) -> Sampled:
    labels = np.zeros(len(a), int), np.zeros(len(b), int)
    return Sampled(a, labels[0], b, labels[1], 1)


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    expected = float(poly_mmd(torch.from_numpy(A).double(), torch.from_numpy(B).double()))
    assert kernel_distance(A, B) == pytest.approx(expected, rel=1e-6)


def test_agrees_with_the_sums_of_the_paper_for_unequal_counts() -> None:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 16 + 1) ** 3

    a, b = A[:7].astype(np.float64), B[:9].astype(np.float64)
    within_a = np.mean([kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    within_b = np.mean([kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    between = np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * between, rel=1e-9)


def test_estimate_is_unbiased_for_equal_distributions() -> None:
    rng = np.random.default_rng(1)
    draws = [kernel_distance(*rng.standard_normal((2, 30, 4))) for _ in range(400)]
    assert abs(np.mean(draws)) < 5 * np.std(draws) / np.sqrt(len(draws))
    assert min(draws) < 0


def test_subset_mean_repeats_and_is_the_whole_where_subsets_are() -> None:
    assert kid_judge(sampled(A, B), CONFIG) == kid_judge(sampled(A, B), CONFIG)
    whole = CONFIG.model_copy(update={"kid_subset_size": 100})
    assert kid_judge(sampled(A, B), whole) == pytest.approx(kernel_distance(A, B), rel=1e-9)


def test_distance_grows_with_the_shift() -> None:
    scores = [kid_judge(sampled(A + shift, A), CONFIG) for shift in (0.0, 0.5, 1.0)]
    assert scores == sorted(scores)
    assert scores[1] > 0
