"""How far a generator's class frequencies are from the data's."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, Sampled, estimate
from genfoundry.metrics.inception_score import knows_classes
from genfoundry.params import Evaluation


def class_kl(evidence: Sampled, _: Evaluation) -> Estimate:
    """KL(samples' class histogram ‖ real images' class histogram) in nats, both as the judge sees them."""
    p, q = evidence.class_shares()
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(p > 0, np.log(p / q), 0.0)
        value = float((p * log_ratio).sum())
        pulls = log_ratio[evidence.samples.labels], -(p / q)[evidence.real.labels]
    return estimate(value, *pulls)


METRIC = Metric("class_kl", "lower", class_kl, "KL of the judge's class histograms, nats", fits=knows_classes)
