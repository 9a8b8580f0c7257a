from __future__ import annotations

import math

import numpy as np
import pytest

from genfoundry.metrics import Classified, Likelihood, accuracy, bits, nats
from genfoundry.metrics.baselines import BernoulliBaseline
from tests.unit import tiny


def test_a_uniform_model_of_bytes_pays_eight_bits() -> None:
    evidence = Likelihood(np.full(5, -12 * math.log(256.0)), dims=12)
    assert bits.EXACT.compute(evidence, tiny.evaluation()).value == pytest.approx(8.0)
    assert nats.EXACT.compute(evidence, tiny.evaluation()).value == pytest.approx(-12 * math.log(256.0))


def test_what_is_a_bound_says_so() -> None:
    assert "bound" in bits.BOUND.name
    assert "exact" in bits.EXACT.name
    assert (bits.BOUND.better, nats.BOUND.better) == ("lower", "higher")


def test_independent_pixels_are_a_distribution_over_all_images() -> None:
    train = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (40, 1, 1, 3))
    every = np.array([[[[255 * (i >> k & 1) for k in range(3)]]] for i in range(8)], np.uint8)
    assert np.exp(BernoulliBaseline(train).log_prob(every)).sum() == pytest.approx(1.0)


def test_accuracy_is_a_share() -> None:
    evidence = Classified(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))
    assert accuracy.METRIC.compute(evidence, tiny.evaluation()).value == 0.75
