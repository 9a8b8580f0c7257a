"""What something adds to a classifier's accuracy, over several trainings."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Metric, Trials
from genfoundry.params import Evaluation


def accuracy(evidence: Trials, _: Evaluation) -> float:
    """The mean over seeds, in [0, 1]."""
    return float(evidence.accuracies.mean())


def gain(evidence: Trials, _: Evaluation) -> float:
    """The mean over seeds of what the same seed gives more, in [-1, 1]."""
    return float((evidence.accuracies - evidence.without).mean())


def standard_error(values: np.ndarray) -> float:
    """Of the mean of (seeds,) numbers."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


ACCURACY = Metric(
    "accuracy",
    "higher",
    accuracy,
    "accuracy on held-out images of a classifier that learns from labelled and generated ones, mean over seeds",
    stderr=lambda evidence: standard_error(evidence.accuracies),
)
GAIN = Metric(
    "gain",
    "higher",
    gain,
    "accuracy with generated images less accuracy without, mean over seeds",
    stderr=lambda evidence: standard_error(evidence.accuracies - evidence.without),
)
