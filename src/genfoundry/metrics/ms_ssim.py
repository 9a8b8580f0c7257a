"""Structural similarity at several scales (Wang et al. 2003)."""

from __future__ import annotations

from genfoundry.metrics import Estimate, Metric, Paired, mean
from genfoundry.metrics.ssim import in_chunks
from genfoundry.params import Evaluation

WINDOW, SCALES = 11, 5  # torchmetrics' and the paper's
LEAST = WINDOW * 2 ** (SCALES - 1)  # pixels of a side: at the coarsest scale, a window


def ms_ssim(evidence: Paired, _: Evaluation) -> Estimate:
    """Gaussian windows of σ = 1.5, data range 1, five scales with the paper's weights, mean over images."""
    from genfoundry.torchvision_shim import torchmetrics_image

    similarity = torchmetrics_image().multiscale_structural_similarity_index_measure
    return mean(in_chunks(similarity, evidence))


def is_large(evidence: Paired) -> bool:
    """Whether the coarsest scale still has a window's pixels."""
    return min(evidence.target.shape[2:]) >= LEAST


METRIC = Metric("ms_ssim", "higher", ms_ssim, "SSIM at five scales, data range 1, mean over images", fits=is_large)
