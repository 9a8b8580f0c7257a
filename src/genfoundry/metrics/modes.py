"""How many of the data's classes a generator covers."""

from __future__ import annotations

from genfoundry.metrics import Metric, Sampled
from genfoundry.params import Evaluation


def mode_count(evidence: Sampled, config: Evaluation) -> float:
    """Classes whose share of the samples is at least `mode_share` of a fair share."""
    shares, _ = evidence.class_shares()
    return float((shares * evidence.classes >= config.mode_share).sum())


METRIC = Metric(
    "modes", "higher", mode_count, "classes with at least mode_share of a fair share", needs_labels=True
)
