"""A standard error says how a score varies where everything is drawn anew: measured by drawing everything anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from genfoundry.metrics import (
    Classified,
    Detected,
    Estimate,
    Likelihood,
    Metric,
    MetricError,
    Paired,
    Sampled,
    Seen,
    accuracy,
    auroc,
    class_kl,
    copies,
    difference_error,
    error,
    frechet,
    inception_score,
    kernel,
    manifold,
    mean,
    mse,
    nats,
    psnr,
    standard_error,
)
from tests.unit import tiny
from tests.unit.metrics.made import gaussian, sure

CONFIG = tiny.evaluation(kid_subsets=20, kid_subset_size=100)
DRAWS = 80
Draw = Callable[[np.random.Generator], Any]


def samples(rng: np.random.Generator) -> Sampled:
    """A generator that is a little off, and favours one class of three."""
    shares = ([0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3])
    logits = [
        (sure(rng.choice(3, n, p=p), 3) / 10 + rng.standard_normal((n, 3))).astype(np.float32)
        for n, p in zip((300, 400), shares, strict=True)
    ]
    return Sampled(
        Seen(gaussian(rng, 300, 8, shift=0.2), logits[0]),
        Seen(gaussian(rng, 400, 8), logits[1]),
        Seen(gaussian(np.random.default_rng(5), 500, 8)),
    )


def few(rng: np.random.Generator) -> Sampled:
    """Fewer images than features."""
    return Sampled(Seen(gaussian(rng, 60, 100, shift=0.3)), Seen(gaussian(rng, 80, 100)))


def pairs(rng: np.random.Generator) -> Paired:
    target = rng.random((50, 1, 6, 6), dtype=np.float32)
    return Paired(target, target + rng.exponential(0.1, (50, 1, 1, 1)).astype(np.float32))


def classified(rng: np.random.Generator) -> Classified:
    asked = rng.integers(0, 3, 200)
    return Classified(asked, np.where(rng.random(200) < 0.8, asked, 0))


def detected(rng: np.random.Generator) -> Detected:
    anomalous = np.arange(300) < 60
    return Detected(rng.standard_normal(300) + anomalous, anomalous)


def likelihood(rng: np.random.Generator) -> Likelihood:
    return Likelihood(rng.gamma(2.0, 3.0, 100), 4)


def stratified(rng: np.random.Generator) -> Likelihood:
    """Terms of a sum that differ far more by their place than by image, each place asked of five."""
    places = rng.permutation(np.repeat(np.arange(20), 5))
    return Likelihood(-np.exp(places / 3.0) + rng.standard_normal(100), 4, places)


CASES: list[tuple[Metric, Draw]] = [
    *((metric, samples) for metric in (frechet.METRIC, frechet.INFINITY, kernel.METRIC, inception_score.METRIC)),
    *((metric, samples) for metric in (class_kl.METRIC, frechet.OF_CLASSES)),
    *((metric, few) for metric in (frechet.METRIC, kernel.METRIC)),
    *((metric, pairs) for metric in (mse.METRIC, psnr.METRIC)),
    *((metric, classified) for metric in (accuracy.METRIC, error.METRIC)),
    (auroc.METRIC, detected),
    (nats.EXACT, likelihood),
    (nats.BOUND, stratified),
]


def spread(metric: Metric, draw: Draw) -> tuple[float, float]:
    """The deviation of the score over independent draws of all evidence, and the mean of what it says that is."""
    found = [metric.compute(draw(np.random.default_rng(seed)), CONFIG) for seed in range(DRAWS)]
    errors = [estimate.stderr for estimate in found if estimate.stderr is not None]
    assert len(errors) == DRAWS
    return float(np.std([estimate.value for estimate in found], ddof=1)), float(np.mean(errors))


@pytest.mark.parametrize(("metric", "draw"), CASES, ids=[f"{m.name}-{draw.__name__}" for m, draw in CASES])
def test_is_the_spread_over_independent_draws(metric: Metric, draw: Draw) -> None:
    actual, said = spread(metric, draw)
    assert said == pytest.approx(actual, rel=0.35)  # of 80 draws, the deviation is itself 8 % off


@pytest.mark.parametrize("metric", manifold.METRICS, ids=lambda metric: metric.short)
def test_is_of_the_points_where_the_balls_are_drawn_too(metric: Metric) -> None:
    """The balls' own chance is left out: half of the whole is there, or more."""
    actual, said = spread(metric, samples)
    assert 0.5 * actual < said < 1.3 * actual


def test_copies_err_as_both_shares_do() -> None:
    actual, said = spread(copies.METRIC, with_copies)
    assert said == pytest.approx(actual, rel=0.35)


def with_copies(rng: np.random.Generator) -> Sampled:
    """A third of the samples, by chance, are training images."""
    evidence = samples(rng)
    assert evidence.train is not None
    copied = (rng.random(300) < 1 / 3)[:, None]
    features = np.where(copied, evidence.train.features[:300], evidence.samples.features)
    return Sampled(Seen(features), evidence.real, evidence.train)


def test_is_a_bootstrap_s() -> None:
    evidence, rng = samples(np.random.default_rng(0)), np.random.default_rng(1)
    drawn = [
        frechet.fid_judge(Sampled(*(seen.take(rng.integers(0, len(seen), len(seen))) for seen in both)), CONFIG)
        for both in [(evidence.samples, evidence.real)] * 200
    ]
    said = frechet.fid_judge(evidence, CONFIG).stderr
    assert np.std([estimate.value for estimate in drawn], ddof=1) == pytest.approx(said, rel=0.25)


def test_influences_add_up_over_independent_sets() -> None:
    a, b = np.array([1.0, 3.0]), np.array([0.0, 4.0, 2.0])
    assert standard_error(a, b) == pytest.approx(np.sqrt(2.0 / 2 + 4.0 / 3))


def better(metric: Metric, seed: int) -> tuple[Estimate, Estimate]:
    """The scores of two outputs for the same images, some of which are hard for both."""
    rng = np.random.default_rng(seed)
    target = rng.random((50, 1, 6, 6), dtype=np.float32)
    hard = rng.exponential(0.1, (50, 1, 1, 1)).astype(np.float32)
    noise = 0.05 * rng.standard_normal((2, *target.shape), dtype=np.float32)
    a, b = (metric.compute(Paired(target, target + hard + part), CONFIG) for part in noise)
    return a, b


@pytest.mark.parametrize("metric", [mse.METRIC, psnr.METRIC], ids=lambda metric: metric.name)
def test_of_a_difference_is_the_spread_of_the_difference(metric: Metric) -> None:
    pairs = [better(metric, seed) for seed in range(DRAWS)]
    said = float(np.mean([difference_error(a, b) or 0.0 for a, b in pairs]))
    assert said == pytest.approx(np.std([a.value - b.value for a, b in pairs], ddof=1), rel=0.35)
    assert said < 0.5 * float(np.mean([np.hypot(a.stderr or 0.0, b.stderr or 0.0) for a, b in pairs]))


@pytest.mark.parametrize("metric", [frechet.METRIC, kernel.METRIC], ids=lambda metric: metric.name)
def test_of_a_difference_forgets_the_real_images_that_both_were_held_against(metric: Metric) -> None:
    def difference(seed: int) -> tuple[float, float]:
        rng = np.random.default_rng(seed)
        real = Seen(gaussian(rng, 400, 8))
        a, b = (
            metric.compute(Sampled(Seen(gaussian(rng, count, 8, shift=0.3)), real), CONFIG) for count in (300, 250)
        )
        return a.value - b.value, difference_error(a, b) or 0.0

    values, errors = np.array([difference(seed) for seed in range(DRAWS)]).T
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.35)


def test_of_a_difference_without_influences_is_the_sum_of_both() -> None:
    a, b = Estimate(1.0, 0.3), Estimate(2.0, 0.4)
    assert difference_error(a, b) == pytest.approx(0.5)
    assert difference_error(a, Estimate(2.0)) is None


@pytest.mark.parametrize("scores", [[1.0], [np.inf, 1.0]])
def test_of_one_image_or_of_an_infinite_score_nothing_is_known(scores: list[float]) -> None:
    assert mean(np.array(scores)).stderr is None


def test_a_single_anomaly_has_no_error() -> None:
    anomalous = np.arange(10) == 3
    assert auroc.METRIC.compute(Detected(np.arange(10.0), anomalous), CONFIG).stderr is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_refused(bad: float) -> None:
    images = np.zeros((2, 1, 2, 2), np.float32)
    with pytest.raises(MetricError, match="hold NaN or infinity"):
        Paired(images, images + np.float32(bad))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(MetricError, match="not finite: the images or the extractor hold NaN or infinity"):
        Seen(np.array([[1.0], [bad]]))


def test_one_image_is_no_distribution() -> None:
    with pytest.raises(MetricError, match="a set of 1 images has no distribution"):
        Seen(np.ones((1, 3)))
