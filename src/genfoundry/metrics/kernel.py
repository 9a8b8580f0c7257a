"""Kernel distance: the squared maximum mean discrepancy with a cubic kernel (Bińkowski et al. 2018)."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, Sampled, estimate
from genfoundry.metrics.compared import Compared, compared, marked
from genfoundry.metrics.pairs import across, within
from genfoundry.params import Evaluation


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate (their equation 4) of features (N, D) and (M, D), with k(x, y) = (x·y/D + 1)³."""
    return float(_between(a, b, np.ones((len(a), 1)), np.ones((len(b), 1)))[0])


def subset_distances(a: np.ndarray, b: np.ndarray, rows_a: np.ndarray, rows_b: np.ndarray) -> np.ndarray:
    """(S,) estimates, of the rows (S, size) of each."""
    return _between(a, b, marked(rows_a, len(a)), marked(rows_b, len(b)))[:-1]


def _between(a: np.ndarray, b: np.ndarray, weights_a: np.ndarray, weights_b: np.ndarray) -> np.ndarray:
    of_a, of_b = within(a, weights_a, ()), within(b, weights_b, ())
    return estimates(Compared(weights_a, weights_b, of_a, of_b, across(a, b, weights_b, of_a, of_b)))


def estimates(found: Compared) -> np.ndarray:
    """(S,) of the subsets that the weightings mark: the kernel's means within both, less twice that across."""
    w_x, w_y = found.weights_samples, found.weights_real
    n, m = w_x.sum(axis=0), w_y.sum(axis=0)
    xx, yy, xy = ((w * k).sum(axis=0) for w, k in zip((w_x, w_y, w_x), _kernels(found), strict=True))
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2.0 * xy / (n * m)


def influences(found: Compared) -> tuple[np.ndarray, np.ndarray]:
    """(N,) and (M,) of the estimate on all rows: twice the mean kernel with the own set, less with the other."""
    xx, yy, xy = (kernel[:, -1] for kernel in _kernels(found))
    n, m = len(xx), len(yy)
    return 2.0 * (xx / (n - 1) - xy / m), 2.0 * (yy / (m - 1) - found.across.kernel_of_y / n)


def _kernels(found: Compared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.samples.kernel, found.real.kernel, found.across.kernel


def kid_judge(evidence: Sampled, config: Evaluation) -> Estimate:
    """The mean over random subsets, as in the paper's section 4, and their deviation."""
    found = compared(evidence, config)
    distances = estimates(found)[:-1]
    choice = [distances] if len(distances) > 1 else []  # of the subsets
    return estimate(float(distances.mean()), *influences(found), *choice, std=float(distances.std()))


METRIC = Metric(
    "kid_judge",
    "lower",
    kid_judge,
    "unbiased MMD², cubic kernel, extractor's features, subset mean",
    short="kd",
)
