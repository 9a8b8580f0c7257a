"""Mean squared error."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Paired
from genfoundry.params import Evaluation


def mse(evidence: Paired, _: Evaluation) -> float:
    """Over all pixels of all images, in squared units of [0, 1]."""
    return float(np.square(evidence.output - evidence.target).mean(dtype=np.float64))


METRIC = Metric("mse", "lower", mse, "squared error, mean over pixels and images")
