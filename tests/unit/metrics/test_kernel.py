from __future__ import annotations

import numpy as np
import pytest
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics.kernel import kernel_distance, kid_judge, subset_distances
from tests.unit import tiny
from tests.unit.metrics.made import sampled

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((60, 16)).astype(np.float32), (RNG.standard_normal((60, 16)) + 0.3).astype(np.float32)
CONFIG = tiny.evaluation(kid_subsets=5, kid_subset_size=40)


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    expected = float(poly_mmd(torch.from_numpy(A).double(), torch.from_numpy(B).double()))
    assert kernel_distance(A, B) == pytest.approx(expected, rel=1e-6)


def test_agrees_with_torch_fidelity_on_equal_subsets() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    settings = {"kid_subsets": 7, "kid_subset_size": 40, "kid_degree": 3, "kid_gamma": None, "kid_coef0": 1}
    reference = kid_features_to_metric(
        torch.from_numpy(A).double(), torch.from_numpy(B).double(), rng_seed=2020, verbose=False, **settings
    )
    rng = np.random.RandomState(2020)  # as theirs draws
    draws = [[rng.choice(60, 40, replace=False) for _ in "ab"] for _ in range(7)]
    rows_a, rows_b = (np.stack(rows) for rows in zip(*draws, strict=True))
    found = subset_distances(A, B, rows_a, rows_b)
    assert found.mean() == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-6)
    assert found.std() == pytest.approx(reference["kernel_inception_distance_std"], rel=1e-6)


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
    whole = kid_judge(sampled(A, B), CONFIG.model_copy(update={"kid_subset_size": 100}))
    assert whole.value == pytest.approx(kernel_distance(A, B), rel=1e-9)
    assert whole.std == pytest.approx(0.0, abs=1e-12)


def test_subsets_of_a_smaller_set_are_as_large_as_it() -> None:
    config = CONFIG.model_copy(update={"kid_subset_size": 100, "kid_subsets": 200})
    few = kid_judge(sampled(A[:20], B), config)
    assert few.std is not None
    assert few.std > 0.0  # over subsets of the larger one
    assert few.value == pytest.approx(kernel_distance(A[:20], B), abs=0.2 * few.std)


def test_distance_grows_with_the_shift() -> None:
    scores = [kid_judge(sampled(A + shift, A), CONFIG).value for shift in (0.0, 0.5, 1.0)]
    assert scores == sorted(scores)
    assert scores[1] > 0


def test_a_subset_s_distance_is_that_of_its_rows_alone() -> None:
    rows = np.array([[3, 1, 4], [59, 26, 5]])
    found = subset_distances(A, B, rows, rows[::-1])
    expected = [kernel_distance(A[a], B[b]) for a, b in zip(rows, rows[::-1], strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
