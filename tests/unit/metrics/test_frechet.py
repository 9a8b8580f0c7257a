from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics import Sampled, Seen, frechet
from genfoundry.metrics.frechet import (
    INFINITY,
    METRIC,
    OF_CLASSES,
    class_fid,
    fid_infinity,
    fid_judge,
    frechet_distance,
)
from tests.unit import tiny
from tests.unit.metrics.made import gaussian, sampled, sure


def features(count: int, width: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((width, width))
    return (rng.standard_normal((count, width)) * (1 + shift) @ mixing + shift).astype(np.float32)


def by_torchmetrics(a: np.ndarray, b: np.ndarray) -> float:
    from torchmetrics.image.fid import _compute_fid

    moments = [torch.from_numpy(m) for x in (a, b) for m in (x.mean(0), np.cov(x, rowvar=False))]
    return float(_compute_fid(*moments))


def by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    c_a, c_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c_a @ c_b).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c_a + c_b - 2 * root))


@pytest.mark.parametrize("reference", [by_torchmetrics, by_sqrtm])
@pytest.mark.parametrize("counts", [(400, 400), (400, 90)])
def test_agrees_with_other_implementations(reference, counts: tuple[int, int]) -> None:
    a, b = features(counts[0], 24), features(counts[1], 24, seed=1, shift=0.3)
    expected = reference(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("count", "width"), [(200, 8), (10, 50)])
def test_is_a_symmetric_distance_that_vanishes_on_equal_sets(count: int, width: int) -> None:
    a, b = features(count, width), features(count, width, seed=1, shift=0.2)
    scale = float(np.cov(a, rowvar=False).trace())
    assert abs(frechet_distance(a, a)) < 1e-9 * scale
    assert abs(frechet_distance(a, a[::-1])) < 1e-9 * scale
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, b) > 0


def test_a_shift_costs_its_squared_length() -> None:
    a, step = features(300, 6).astype(np.float64), np.arange(6.0)
    assert frechet_distance(a, a + step) == pytest.approx(np.square(step).sum(), rel=1e-9)


def test_scaling_costs_the_trace() -> None:
    a = features(300, 6).astype(np.float64)
    a -= a.mean(0)
    assert frechet_distance(a, 3 * a) == pytest.approx(4 * np.cov(a, rowvar=False).trace(), rel=1e-9)


def test_a_smaller_distance_is_better() -> None:
    assert METRIC.better == "lower"


def test_infinitely_many_samples_have_less_bias() -> None:
    """Of one distribution, the distance of few samples is all bias, which the extrapolation takes away."""
    rng, config = np.random.default_rng(0), tiny.evaluation()
    real = Seen(gaussian(rng, 5000))
    found = [Sampled(Seen(gaussian(rng, 200)), real) for _ in range(10)]
    biased = np.mean([fid_judge(evidence, config).value for evidence in found])
    extrapolated = np.mean([fid_infinity(evidence, config).value for evidence in found])
    assert abs(extrapolated) < 0.25 * biased


def test_the_extrapolation_wants_more_samples_in_a_half_than_features() -> None:
    assert INFINITY.fits(sampled(np.zeros((10, 4)), np.zeros((10, 4))))
    assert not INFINITY.fits(sampled(np.zeros((9, 4)), np.zeros((10, 4))))
    assert not INFINITY.fits(sampled(np.zeros((10, 4)), np.zeros((4, 4))))


def of_three_classes(samples: np.ndarray, labels: np.ndarray) -> Sampled:
    real = np.random.default_rng(7).standard_normal((300, 3)).astype(np.float32)
    return Sampled(Seen(samples, sure(labels, 3)), Seen(real, sure(np.arange(300) % 3, 3)))


def test_classes_that_are_confused_cost_by_class_and_not_as_a_whole() -> None:
    rng, config = np.random.default_rng(0), tiny.evaluation()
    labels = np.arange(300) % 3
    evidence = of_three_classes(rng.standard_normal((300, 3)).astype(np.float32), labels)
    real = evidence.real.features.copy()
    real[:, 0] += 9.0 * labels  # each class in its own place
    apart = Seen(real, evidence.real.logits)
    right = Sampled(Seen(real, sure(labels, 3)), apart)
    wrong = Sampled(Seen(real, sure((labels + 1) % 3, 3)), apart)
    assert fid_judge(right, config).value == pytest.approx(fid_judge(wrong, config).value, abs=1e-9)
    assert class_fid(right, config).value == pytest.approx(0.0, abs=1e-6)
    assert class_fid(wrong, config).value == pytest.approx((81.0 + 81.0 + 324.0) / 3, rel=0.05)


def test_a_class_of_few_images_is_not_compared() -> None:
    samples = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    assert OF_CLASSES.fits(of_three_classes(samples, np.arange(300) % 3))
    assert not OF_CLASSES.fits(of_three_classes(samples, np.arange(300) % 2))
    assert not OF_CLASSES.fits(sampled(samples, samples))


def with_a_feature_that_is(kind: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = (features(300, 12, seed=seed, shift=seed / 5).astype(np.float64) for seed in (0, 1))
    for each in (a, b):
        if kind == "dead":
            each[:, 4] = 0.0
        elif kind == "repeated":
            each[:, 4] = each[:, 3] + 1e-6 * each[:, 5]
        elif kind == "small":
            each[:, 4] *= 1e-9
    return a, b


@pytest.mark.parametrize(
    ("kind", "sound"), [("plain", True), ("small", True), ("repeated", False), ("dead", False)]
)
def test_by_cholesky_where_it_is_sound_and_as_by_qr(
    kind: str, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = with_a_feature_that_is(kind)
    found = of_a, of_b = frechet.moments(a), frechet.moments(b)
    pulls = frechet.influences(a, b, of_a, of_b)
    assert [frechet._sound(each.root) for each in found] == [sound, sound]
    monkeypatch.setattr(frechet, "_sound", lambda root: False)
    by_qr = frechet.moments(a), frechet.moments(b)
    assert frechet.between(*found) == pytest.approx(frechet.between(*by_qr), rel=1e-10)
    for pull, expected in zip(pulls, frechet.influences(a, b, *by_qr), strict=True):
        np.testing.assert_allclose(pull, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())
