from __future__ import annotations

import numpy as np

from genfoundry.metrics import Classified, error
from tests.unit import tiny


def test_error_is_the_share_that_accuracy_leaves() -> None:
    evidence = Classified(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))
    assert error.METRIC.compute(evidence, tiny.evaluation()).value == 0.25
    assert error.METRIC.better == "lower"
