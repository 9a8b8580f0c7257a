from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from prdc import compute_prdc

from genfoundry.metrics import Seen, kernel
from genfoundry.metrics.manifold import METRICS
from tests.unit import tiny
from tests.unit.metrics.made import gaussian, sampled

CONFIG = tiny.evaluation()
RNG = np.random.default_rng(0)
REAL = gaussian(RNG, 300)


def scores(samples: np.ndarray, real: np.ndarray = REAL) -> dict[str, float]:
    evidence = sampled(samples, real)
    return {metric.short: metric.compute(evidence, CONFIG).value for metric in METRICS}


def by_prdc(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        third, fifth = (compute_prdc(real, samples, k) for k in (3, 5))
    return {**{name: third[name] for name in ("precision", "recall")}, "density": fifth["density"]} | {
        "coverage": fifth["coverage"]
    }


@pytest.mark.parametrize(("count", "shift", "scale"), [(300, 0.0, 1.0), (200, 0.3, 1.0), (700, 0.0, 0.5)])
def test_agree_with_the_authors_implementation(count: int, shift: float, scale: float) -> None:
    samples = (scale * gaussian(RNG, count, shift=shift)).astype(np.float32)
    assert scores(samples) == pytest.approx(by_prdc(samples, REAL), rel=1e-6)


def test_wide_features_in_many_tiles_agree_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genfoundry.metrics.pairs.TILE", 40)
    samples, real = RNG.random((90, 512), dtype=np.float32), RNG.random((130, 512), dtype=np.float32)
    assert scores(samples, real) == pytest.approx(by_prdc(samples, real), rel=1e-6)


@pytest.mark.parametrize(("count", "fit"), [(6, True), (5, False)])
def test_balls_want_as_many_neighbours_as_they_reach_to(count: int, fit: bool) -> None:
    """Where there are fewer, the kernel distance is still there."""
    evidence = sampled(REAL[:count], REAL[100:120])
    assert {metric.fits(evidence) for metric in METRICS} == {fit}
    assert np.isfinite(kernel.kid_judge(evidence, CONFIG).value)


def test_the_data_s_own_images_are_all_in_place() -> None:
    assert scores(REAL) == {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}


def test_what_is_far_away_is_nowhere() -> None:
    assert scores(REAL + 100.0) == dict.fromkeys(("precision", "recall", "density", "coverage"), 0.0)


def test_one_good_image_is_precise_and_recalls_nothing() -> None:
    found = scores(np.repeat(REAL[:1], 200, axis=0))
    assert found["precision"] == 1.0
    assert found["recall"] == 0.0
    assert found["coverage"] < 0.1


def test_outliers_among_the_real_images_swell_precision_more_than_density() -> None:
    """The case that density is made for: Naeem et al. 2020, section 3.1."""
    noise = gaussian(RNG, 300) + np.float32(6.0)
    with_outlier = np.concatenate([REAL, noise.mean(axis=0, keepdims=True)])
    before, after = scores(noise), scores(noise, with_outlier)
    assert after["precision"] - before["precision"] > 0.5
    assert after["density"] < 0.5


def test_real_images_are_looked_at_once_for_many_sets_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from genfoundry.metrics import Sampled, compared

    seen: list[int] = []
    original = compared.within
    monkeypatch.setattr(compared, "within", lambda x, *rest: (seen.append(len(x)), original(x, *rest))[1])
    real = Seen(REAL)
    for shift in (0.0, 1.0):
        evidence = Sampled(Seen(gaussian(RNG, 100, shift=shift)), real)
        for metric in METRICS:
            metric.compute(evidence, CONFIG)
    assert seen == [100, 300, 100]
