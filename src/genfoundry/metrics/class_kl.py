"""How far a generator's class frequencies are from the data's."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Sampled
from genfoundry.params import Evaluation


def class_kl(evidence: Sampled, _: Evaluation) -> float:
    """KL(samples' class histogram ‖ real images' class histogram) in nats, both as the judge sees them."""
    p, q = evidence.class_shares()
    seen = p > 0
    with np.errstate(divide="ignore"):
        return float((p[seen] * np.log(p[seen] / q[seen])).sum())


METRIC = Metric("class_kl", "lower", class_kl, "KL of the judge's class histograms, nats", needs_labels=True)
