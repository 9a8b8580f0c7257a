from __future__ import annotations

import numpy as np
import pytest
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torch-fidelity)
from genfoundry.metrics.inception_score import METRIC, inception_score, is_judge
from tests.unit import tiny
from tests.unit.metrics.made import of_classes, sampled, sure

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [0.1, 3.0, 50.0])
def test_agrees_with_torch_fidelity(scale: float) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = (scale * RNG.standard_normal((400, 10))).astype(np.float32)
    reference = isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False)
    assert inception_score(logits).value == pytest.approx(reference["inception_score_mean"], rel=1e-6)


def test_sure_and_even_is_the_number_of_classes_and_one_class_is_one() -> None:
    assert inception_score(sure(np.arange(40) % 4, 4)).value == pytest.approx(4.0, rel=1e-4)
    assert inception_score(sure(np.zeros(40), 4)).value == pytest.approx(1.0)
    assert inception_score(np.zeros((40, 4), np.float32)).value == pytest.approx(1.0)


def test_a_class_that_no_sample_can_be_of_costs_nothing() -> None:
    logits = np.zeros((40, 3), np.float32)
    logits[:, 2] = -2000.0
    assert inception_score(logits).value == pytest.approx(1.0)


def test_is_of_the_samples_alone() -> None:
    evidence = of_classes([10, 10, 0], [5, 0, 5])
    assert is_judge(evidence, tiny.evaluation()).value == pytest.approx(2.0, rel=1e-4)


def test_needs_a_judge_that_knows_classes() -> None:
    assert not METRIC.fits(sampled(np.zeros((3, 2)), np.zeros((3, 2))))
