"""Bits per dimension: the price of a pixel under the model."""

from __future__ import annotations

import math

from genfoundry.metrics import Estimate, Likelihood, Metric, mean
from genfoundry.params import Evaluation


def bits_per_dim(evidence: Likelihood, _: Evaluation) -> Estimate:
    """−log₂ p(x) / D."""
    return mean(-evidence.nats / (evidence.dims * math.log(2.0)), evidence.strata)


EXACT = Metric(
    "bits_per_dim_exact", "lower", bits_per_dim, "−log₂ p(x) / D, bytes spread by uniform noise, mean over images"
)
BOUND = Metric("bits_per_dim_bound", "lower", bits_per_dim, "an upper bound on −log₂ p(x) / D, mean over images")
