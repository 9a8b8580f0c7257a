"""Bits per dimension: the price of a pixel under the model."""

from __future__ import annotations

import math

from genfoundry.metrics import Likelihood, Metric
from genfoundry.metrics.nats import nats
from genfoundry.params import Evaluation


def bits_per_dim(evidence: Likelihood, config: Evaluation) -> float:
    """−log₂ p(x) / D."""
    return -nats(evidence, config) / (evidence.dims * math.log(2.0))


EXACT = Metric("bits_per_dim_exact", "lower", bits_per_dim, "−log₂ p(x) / D, mean over images")
BOUND = Metric("bits_per_dim_bound", "lower", bits_per_dim, "an upper bound on −log₂ p(x) / D, mean over images")
