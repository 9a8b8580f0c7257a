"""How often what was asked for is what is found."""

from __future__ import annotations

from genfoundry.metrics import Classified, Metric
from genfoundry.params import Evaluation


def accuracy(evidence: Classified, _: Evaluation) -> float:
    """A share in [0, 1]."""
    return float((evidence.asked == evidence.found).mean())


METRIC = Metric("accuracy", "higher", accuracy, "share of images whose class is the one asked for")
