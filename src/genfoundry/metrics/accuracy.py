"""How often what was asked for is what is found."""

from __future__ import annotations

from genfoundry.metrics import Classified, Estimate, Metric, mean
from genfoundry.params import Evaluation


def accuracy(evidence: Classified, _: Evaluation) -> Estimate:
    """A share in [0, 1]."""
    return mean(evidence.asked == evidence.found)


METRIC = Metric("accuracy", "higher", accuracy, "share of images whose class is the one asked for")
