"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, equation 6)."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Sampled
from genfoundry.params import Evaluation


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(C_a + C_b − 2 (C_a C_b)^½) of features (N, D) and (M, D), in float64.

    tr (C_a C_b)^½ is the nuclear norm of A Bᵀ for centred features A/√(N−1) and B/√(M−1); with R from their QR
    decompositions that is the nuclear norm of the D × D matrix R_a R_bᵀ: no matrix root, never negative.
    """
    mean_a, root_a = _moments(a)
    mean_b, root_b = _moments(b)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    traces = np.square(root_a).sum() + np.square(root_b).sum()
    return float(np.square(mean_a - mean_b).sum() + traces - 2.0 * cross)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and an upper triangular R with RᵀR = C."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    _, root = np.linalg.qr((features - mean) / np.sqrt(len(features) - 1))
    return mean, root


def fid_judge(evidence: Sampled, _: Evaluation) -> float:
    """Samples against the held-out real images, on the judge's features: no FID of Inception's."""
    return frechet_distance(evidence.features, evidence.real_features)


METRIC = Metric(
    "fid_judge",
    "lower",
    fid_judge,
    "Fréchet distance on the extractor's features, float64",
    needs_many=True,
    distance="fd",
)
