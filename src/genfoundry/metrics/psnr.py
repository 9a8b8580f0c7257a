"""Peak signal-to-noise ratio."""

from __future__ import annotations

from genfoundry.metrics import Metric, Paired
from genfoundry.params import Evaluation


def psnr(evidence: Paired, _: Evaluation) -> float:
    """In dB, the mean over images of each image's own ratio; the peak is 1."""
    import torch

    from genfoundry.torchvision_shim import torchmetrics_image

    output, target = torch.from_numpy(evidence.output), torch.from_numpy(evidence.target)
    return float(torchmetrics_image().peak_signal_noise_ratio(output, target, data_range=1.0, dim=(1, 2, 3)))


METRIC = Metric("psnr", "higher", psnr, "dB, mean of the images' own ratios, peak 1")
