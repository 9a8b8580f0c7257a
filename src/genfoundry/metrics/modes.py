"""How many of the data's classes a generator covers."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Sampled
from genfoundry.params import Evaluation


def mode_count(evidence: Sampled, config: Evaluation) -> float:
    """Classes whose share of the samples is at least `mode_share` of a fair share."""
    shares = np.bincount(evidence.labels, minlength=evidence.classes) / len(evidence.labels)
    return float((shares * evidence.classes >= config.mode_share).sum())


METRIC = Metric("modes", "higher", mode_count, "classes with at least mode_share of a fair share")
