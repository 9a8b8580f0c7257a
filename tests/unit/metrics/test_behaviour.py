"""What docs/metrics.md says of scores of samples, in the cases where one knows what they should be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from genfoundry.metrics import Sampled, Seen
from genfoundry.tasks.generate import METRICS
from tests.unit import tiny
from tests.unit.metrics.made import gaussian, sure

CONFIG = tiny.evaluation(kid_subsets=10, kid_subset_size=100)
BY_NAME = {metric.name.removesuffix("_judge"): metric for metric in METRICS}
CLASSES, WIDTH = 4, 6
CENTRES = 12.0 * np.eye(CLASSES, WIDTH, dtype=np.float32)


def images(rng: np.random.Generator, count: int, classes: int = CLASSES) -> Seen:
    """Clusters of features, one for each class, and a judge that knows which."""
    labels = rng.integers(0, classes, count)
    return Seen(CENTRES[labels] + gaussian(rng, count, WIDTH), sure(labels, CLASSES))


@cache
def case(name: str) -> dict[str, float]:
    """All scores of 600 samples of one kind, those that do not refuse."""
    rng = np.random.default_rng(0)
    real, train = images(rng, 600), images(rng, 600)
    far = Seen(real.features + np.float32(500.0), real.logits)
    kinds = {
        "fresh": lambda: images(rng, 600),
        "identical": lambda: real,
        "disjoint": lambda: far,
        "one repeated image": lambda: real.take(np.zeros(600, int)),
        "dropped modes": lambda: images(rng, 600, classes=2),
        "copied training set": lambda: train,
    }
    evidence = Sampled(kinds[name](), real, train)
    fitting = {key: metric for key, metric in BY_NAME.items() if metric.fits(evidence)}
    return {key: metric.compute(evidence, CONFIG).value for key, metric in fitting.items()}


def test_identical_sets_are_at_no_distance() -> None:
    found = case("identical")
    assert (found["fid"], found["class_fid"], found["class_kl"]) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert found["kid"] < 0.02 * case("dropped modes")["kid"]
    assert [found[key] for key in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]
    assert found["modes"] == CLASSES
    assert found["copies"] == pytest.approx(0.0, abs=0.01)  # of the held-out images, not of the training set


def test_new_images_of_the_same_kind_score_like_them() -> None:
    found = case("fresh")
    assert min(found[key] for key in ("precision", "recall", "density", "coverage")) > 0.75
    assert found["fid"] < 0.05 * case("dropped modes")["fid"]
    assert found["is"] == pytest.approx(CLASSES, rel=0.01)
    assert found["copies"] < 0.1


def test_disjoint_sets_share_nothing() -> None:
    found = case("disjoint")
    assert [found[key] for key in ("precision", "recall", "density", "coverage")] == [0.0, 0.0, 0.0, 0.0]
    assert found["fid"] == pytest.approx(WIDTH * 500.0**2, rel=1e-3)
    assert found["fid_infinity"] == pytest.approx(found["fid"], rel=1e-3)


def test_one_repeated_image_is_precise_and_poor() -> None:
    found = case("one repeated image")
    assert found["precision"] == 1.0
    assert found["recall"] == 0.0
    assert found["coverage"] < 0.05
    assert (found["modes"], found["is"]) == (1.0, pytest.approx(1.0))
    assert "class_fid" not in found
    assert found["fid"] > 20 * case("fresh")["fid"]


def test_dropped_modes_cost_recall_and_not_precision() -> None:
    found = case("dropped modes")
    assert found["precision"] > 0.9
    assert found["recall"] < 0.6
    assert found["coverage"] < 0.6
    assert (found["modes"], found["class_kl"]) == (2.0, pytest.approx(np.log(2.0), abs=0.1))
    assert "class_fid" not in found


def test_a_copied_training_set_scores_like_real_images_and_is_caught() -> None:
    found, fresh = case("copied training set"), case("fresh")
    assert found["fid"] < 3 * fresh["fid"]
    assert found["precision"] > 0.75
    assert found["copies"] == 1.0


COUNTS = {50: 40, 500: 8, 5000: 1}  # samples, beside as many real images: draws of both


@cache
def of_counts() -> dict[str, dict[int, float]]:
    """Scores of new images, by name and by how many there are, mean over draws."""
    rng = np.random.default_rng(1)
    found: dict[str, dict[int, list[float]]] = {name: {count: [] for count in COUNTS} for name in BY_NAME}
    for count, draws in COUNTS.items():
        for _ in range(draws):
            evidence = Sampled(images(rng, count), images(rng, count))
            for name, metric in BY_NAME.items():
                if metric.fits(evidence):
                    found[name][count].append(metric.compute(evidence, CONFIG).value)
    return {name: {n: float(np.mean(v)) for n, v in by_count.items() if v} for name, by_count in found.items()}


def test_the_kernel_distance_is_the_same_of_few_samples_as_of_many() -> None:
    apart = case("dropped modes")["kid"]
    assert [abs(value) < 0.05 * apart for value in of_counts()["kid"].values()] == [True, True, True]


def test_the_extrapolation_takes_away_a_part_of_the_bias() -> None:
    """That of the samples; the real images, as few here, keep theirs."""
    fid, extrapolated = of_counts()["fid"], of_counts()["fid_infinity"]
    assert all(abs(extrapolated[count]) < 0.8 * fid[count] for count in (50, 500))


def test_the_frechet_distance_of_few_samples_is_too_large() -> None:
    found = of_counts()["fid"]
    assert found[50] > 5 * found[500] > 25 * found[5000] > 0


@pytest.mark.parametrize(
    ("name", "own"), [("precision", 0.95), ("recall", 0.95), ("density", 1.0), ("coverage", 0.97)]
)
def test_manifolds_of_the_data_s_own_distribution_hardly_depend_on_the_count(name: str, own: float) -> None:
    assert list(of_counts()[name].values()) == pytest.approx([own] * 3, abs=0.12)


def test_an_inception_score_of_few_samples_is_too_low_and_modes_are_counted_right() -> None:
    few, some, many = of_counts()["is"].values()
    assert few < some < many <= CLASSES
    assert few == pytest.approx(many, rel=0.05)
    assert set(of_counts()["modes"].values()) == {CLASSES}
