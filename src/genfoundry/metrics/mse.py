"""Mean squared error."""

from __future__ import annotations

import torch
from torchmetrics.functional import mean_squared_error

from genfoundry.metrics import Metric, Paired
from genfoundry.params import Evaluation


def mse(evidence: Paired, _: Evaluation) -> float:
    """Over all pixels of all images, in squared units of [0, 1]."""
    output, target = torch.from_numpy(evidence.output), torch.from_numpy(evidence.target)
    return float(mean_squared_error(output.flatten(), target.flatten()))


METRIC = Metric("mse", "reconstruct", "lower", mse, "squared error, mean over pixels and images", leads=True)
