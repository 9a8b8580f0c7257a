from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from genfoundry.metrics import Detected
from genfoundry.metrics.auroc import METRIC
from tests.unit import tiny

RNG = np.random.default_rng(0)


def area(scores: np.ndarray, anomalous: np.ndarray) -> float:
    return METRIC.compute(Detected(scores, anomalous), tiny.evaluation()).value


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_the_area_is_the_reference_s_whatever_the_scale(scale: float) -> None:
    scores, anomalous = RNG.standard_normal(400), RNG.random(400) > 0.7
    scores[anomalous] += 0.8
    assert area(1e3 + scale * scores, anomalous) == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)


def test_perfect_and_reversed_scores_are_one_and_zero() -> None:
    scores = np.arange(10.0)
    found = (area(scores, scores > 6), area(-scores, scores > 6))
    assert found == pytest.approx((1.0, 0.0), abs=1e-6)
