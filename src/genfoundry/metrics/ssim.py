"""Structural similarity (Wang et al. 2004)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfoundry.metrics import Estimate, Metric, Paired, mean
from genfoundry.params import Evaluation

HALF = 5  # pixels of a window of 11, from its centre on
BLOCK_PIXELS = 2**19  # of images at a time: the windows' moments take five times the images' memory


def ssim(evidence: Paired, _: Evaluation) -> Estimate:
    """Gaussian windows of σ = 1.5, data range 1, mean over images."""
    from genfoundry.torchvision_shim import torchmetrics_image

    return mean(in_chunks(torchmetrics_image().structural_similarity_index_measure, evidence))


def in_chunks(similarity: Callable[..., Any], evidence: Paired) -> np.ndarray:
    """(N,) of each image, by one of torchmetrics' functions."""
    import torch

    block = max(1, BLOCK_PIXELS // evidence.output[0].size)
    starts = range(0, len(evidence.output), block)
    pairs = [
        tuple(torch.from_numpy(images[i : i + block]) for images in (evidence.output, evidence.target))
        for i in starts
    ]
    return np.concatenate([np.atleast_1d(similarity(*pair, data_range=1.0, reduction="none")) for pair in pairs])


def holds_a_window(evidence: Paired) -> bool:
    """Whether an image can be mirrored at its border by half a window."""
    return min(evidence.target.shape[2:]) > HALF


METRIC = Metric(
    "ssim", "higher", ssim, "Gaussian window σ 1.5, data range 1, mean over images", fits=holds_a_window
)
