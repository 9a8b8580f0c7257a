from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics import Metric, MetricError, Trials
from genfoundry.metrics.gain import ACCURACY, GAIN
from tests.unit import tiny

WITH, WITHOUT = np.array([0.9, 0.7, 0.8]), np.array([0.8, 0.6, 0.7])


def stderr(metric: Metric, evidence: Trials) -> float | None:
    return metric.compute(evidence, tiny.evaluation()).stderr


def test_a_gain_is_of_one_seed_over_the_same() -> None:
    """What varies with the seed alone is in the accuracy's spread and not in the gain's."""
    evidence = Trials(WITH, WITHOUT)
    assert ACCURACY.compute(evidence, tiny.evaluation()).value == pytest.approx(0.8)
    assert GAIN.compute(evidence, tiny.evaluation()).value == pytest.approx(0.1)
    assert stderr(ACCURACY, evidence) == pytest.approx(0.1 / np.sqrt(3))
    assert stderr(GAIN, evidence) == pytest.approx(0.0)


def test_without_a_classifier_to_compare_with_there_is_no_gain() -> None:
    with pytest.raises(MetricError, match="no classifier without generated images"):
        GAIN.compute(Trials(WITH), tiny.evaluation())


def test_nothing_is_gained_over_oneself() -> None:
    assert GAIN.compute(Trials(WITHOUT, WITHOUT), tiny.evaluation()).value == 0.0
