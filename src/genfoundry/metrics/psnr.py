"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, Paired, mean
from genfoundry.metrics.mse import squared_errors
from genfoundry.params import Evaluation


def psnr(evidence: Paired, _: Evaluation) -> Estimate:
    """In dB, the mean over images of each image's own ratio; the peak is 1."""
    with np.errstate(divide="ignore"):
        return mean(-10.0 * np.log10(squared_errors(evidence)))


METRIC = Metric("psnr", "higher", psnr, "dB, mean of the images' own ratios, peak 1")
