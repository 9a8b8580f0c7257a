"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from genfoundry.metrics import Metric, Paired
from genfoundry.params import Evaluation


def psnr(evidence: Paired, _: Evaluation) -> float:
    """In dB, the mean over images of each image's own ratio; the peak is 1."""
    output, target = torch.from_numpy(evidence.output), torch.from_numpy(evidence.target)
    return float(
        peak_signal_noise_ratio(output, target, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    )


METRIC = Metric("psnr", "reconstruct", "higher", psnr, "dB, mean of the images' own ratios, peak 1")
