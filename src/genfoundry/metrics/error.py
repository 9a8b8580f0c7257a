"""How often what was asked for is not what is found."""

from __future__ import annotations

from genfoundry.metrics import Classified, Estimate, Metric, mean
from genfoundry.params import Evaluation


def error(evidence: Classified, _: Evaluation) -> Estimate:
    """A share in [0, 1]."""
    return mean(evidence.asked != evidence.found)


METRIC = Metric("error", "lower", error, "share of images whose class is not the one asked for")
