"""Mean squared error."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, Paired, mean
from genfoundry.params import Evaluation


def mse(evidence: Paired, _: Evaluation) -> Estimate:
    """Over all pixels of all images, in squared units of [0, 1]."""
    return mean(squared_errors(evidence))


def squared_errors(evidence: Paired) -> np.ndarray:
    """(N,) of each image, mean over its pixels."""
    return np.square(evidence.output - evidence.target).mean(axis=(1, 2, 3), dtype=np.float64)


METRIC = Metric("mse", "lower", mse, "squared error, mean over pixels and images")
