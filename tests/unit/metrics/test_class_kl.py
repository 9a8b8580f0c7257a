from __future__ import annotations

import math

import pytest
from scipy.stats import entropy

from genfoundry.metrics.class_kl import class_kl
from tests.unit import tiny
from tests.unit.metrics.made import of_classes

CONFIG = tiny.evaluation()


def kl(samples: list[int], real: list[int]) -> float:
    """From counts by class."""
    return class_kl(of_classes(samples, real), CONFIG).value


@pytest.mark.parametrize(
    ("samples", "real"), [([1, 2, 3], [3, 2, 1]), ([10, 0, 0], [5, 3, 2]), ([7, 1, 2], [1, 100, 3])]
)
def test_is_the_kl_of_the_histograms(samples: list[int], real: list[int]) -> None:
    assert kl(samples, real) == pytest.approx(entropy(samples, real), rel=1e-12)


def test_equal_shares_cost_nothing_whatever_the_counts() -> None:
    assert kl([2, 4], [300, 600]) == pytest.approx(0, abs=1e-12)


def test_one_of_n_equal_classes_costs_log_n() -> None:
    assert kl([0, 9, 0, 0], [5, 5, 5, 5]) == pytest.approx(math.log(4))


def test_a_class_that_the_data_lacks_is_infinitely_wrong() -> None:
    assert kl([1, 1], [2, 0]) == math.inf
