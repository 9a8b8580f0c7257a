"""Structural similarity (Wang et al. 2004)."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Paired
from genfoundry.params import Evaluation

CHUNK = 500  # images at a time: the windows' moments take five times the images' memory


def ssim(evidence: Paired, _: Evaluation) -> float:
    """Gaussian windows of σ = 1.5, data range 1, mean over images."""
    pieces = [
        _similarity(evidence.output[i : i + CHUNK], evidence.target[i : i + CHUNK])
        for i in range(0, len(evidence.output), CHUNK)
    ]
    return float(np.concatenate(pieces).mean())


def _similarity(output: np.ndarray, target: np.ndarray) -> np.ndarray:
    import torch

    from genfoundry.torchvision_shim import torchmetrics_image

    found = torchmetrics_image().structural_similarity_index_measure(
        torch.from_numpy(output), torch.from_numpy(target), data_range=1.0, reduction="none"
    )
    return np.asarray(found)


METRIC = Metric("ssim", "higher", ssim, "Gaussian window σ 1.5, data range 1, mean over images")
