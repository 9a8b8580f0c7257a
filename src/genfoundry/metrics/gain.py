"""What something adds to a classifier's accuracy, over several trainings."""

from __future__ import annotations

from genfoundry.metrics import Estimate, Metric, MetricError, Trials, mean
from genfoundry.params import Evaluation


def accuracy(evidence: Trials, _: Evaluation) -> Estimate:
    """The mean over seeds, in [0, 1]."""
    return mean(evidence.accuracies)


def gain(evidence: Trials, _: Evaluation) -> Estimate:
    """The mean over seeds of what the same seed gives more, in [-1, 1].

    Raises:
        MetricError: nobody has trained without.
    """
    if evidence.without is None:
        raise MetricError("there is no classifier without generated images to compare with")
    return mean(evidence.accuracies - evidence.without)


ACCURACY = Metric(
    "accuracy",
    "higher",
    accuracy,
    "accuracy on held-out images of a classifier that learns from labelled and generated ones, mean over seeds",
)
LEARNT = Metric(
    "accuracy",
    "higher",
    accuracy,
    "accuracy on held-out images of a classifier that learns from generated ones alone, mean over seeds",
)
GAIN = Metric("gain", "higher", gain, "accuracy with generated images less accuracy without, mean over seeds")
