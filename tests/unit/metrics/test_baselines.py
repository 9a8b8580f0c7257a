from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.pictures import from_bytes

RNG = np.random.default_rng(0)
# A plane in pixel space, away from 0 and 255, so that two components and no clipping suffice.
CODES = RNG.uniform(-1, 1, (300, 2))
PLANE = np.rint(128 + CODES @ np.array([[60.0, 0, 30, 0], [0, 40, 0, -40]])).astype(np.uint8).reshape(-1, 1, 2, 2)


def test_enough_components_reproduce_images_and_fewer_do_not() -> None:
    images = from_bytes(PLANE)
    errors = [np.abs(PcaBaseline(PLANE, width).reconstruct(images) - images).max() for width in (1, 2, 4)]
    assert errors[0] > 0.05
    assert errors[1] < 1 / 255  # the bytes' own rounding
    assert errors[2] < 1e-5


def test_samples_have_the_mean_and_covariance_of_the_data() -> None:
    samples = PcaBaseline(PLANE, 4).sample(20000, seed=0)
    assert samples.shape == (20000, 1, 2, 2)
    assert samples.dtype == np.float32
    drawn, real = samples.reshape(-1, 4), from_bytes(PLANE).reshape(-1, 4)
    np.testing.assert_allclose(drawn.mean(0), real.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(real.T), atol=0.003)


def test_samples_stay_in_range_and_follow_the_seed() -> None:
    extreme = np.where(RNG.random((50, 1, 2, 2)) < 0.5, 0, 255).astype(np.uint8)
    pca = PcaBaseline(extreme, 3)
    first, again, other = (pca.sample(100, seed) for seed in (1, 1, 2))
    assert first.min() == 0
    assert first.max() == 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [300, 3])
def test_more_components_than_the_data_has_are_all_it_has(count: int) -> None:
    images = PLANE[:count]
    assert PcaBaseline(images, 10).sample(5, 0).shape == (5, 1, 2, 2)
