"""How sharp and how varied samples are, beside real images."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Sampled
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Table

SHOWN = 2000  # images of each kind
HEADER = ("quantity", "samples", "real")


def table(samples: np.ndarray, real: np.ndarray, evidence: Sampled) -> Table:
    """Of images (N, C, H, W) and (M, C, H, W) uint8 and what the judge saw in them."""
    quantities = {
        "sharpness": [sharpness(images[:SHOWN]) for images in (samples, real)],
        "diversity": [
            diversity(features[:SHOWN]) for features in (evidence.samples.features, evidence.real.features)
        ],
    }
    return Table(HEADER, [[name, *(f"{value:.5g}" for value in pair)] for name, pair in quantities.items()])


def sharpness(images: np.ndarray) -> float:
    """Variance of each image's Laplacian, in squared units of [0, 1], mean over (N, C, H, W): Pech-Pacheco 2000."""
    x = from_bytes(images)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return float((around - 4.0 * x[..., 1:-1, 1:-1]).var(axis=(2, 3)).mean())


def diversity(features: np.ndarray) -> float:
    """Mean Euclidean distance between two of (N, D)."""
    from scipy.spatial.distance import pdist

    return float(pdist(features).mean())
