from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy

from genfoundry.metrics import Sampled
from genfoundry.metrics.class_kl import class_kl
from tests.unit import tiny

CONFIG = tiny.evaluation()


def evidence(samples: list[int], real: list[int]) -> Sampled:
    """From counts by class."""
    labels, real_labels = (np.repeat(np.arange(len(counts)), counts) for counts in (samples, real))
    none = np.empty((0, 1))
    return Sampled(none, labels, none, real_labels, len(samples))


@pytest.mark.parametrize(
    ("samples", "real"), [([1, 2, 3], [3, 2, 1]), ([10, 0, 0], [5, 3, 2]), ([7, 1, 2], [1, 100, 3])]
)
def test_is_the_kl_of_the_histograms(samples: list[int], real: list[int]) -> None:
    assert class_kl(evidence(samples, real), CONFIG) == pytest.approx(entropy(samples, real), rel=1e-12)


def test_equal_shares_cost_nothing_whatever_the_counts() -> None:
    assert class_kl(evidence([2, 4], [300, 600]), CONFIG) == pytest.approx(0, abs=1e-12)


def test_one_of_n_equal_classes_costs_log_n() -> None:
    assert class_kl(evidence([0, 9, 0, 0], [5, 5, 5, 5]), CONFIG) == pytest.approx(math.log(4))


def test_a_class_that_the_data_lacks_is_infinitely_wrong() -> None:
    assert class_kl(evidence([1, 1], [2, 0]), CONFIG) == math.inf
