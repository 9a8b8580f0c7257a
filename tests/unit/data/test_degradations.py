from __future__ import annotations

import numpy as np
import pytest

from genfoundry.data.degradations import DEGRADATIONS, mask, noise, scale

IMAGES = np.random.default_rng(0).random((64, 3, 16, 16), dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    grey = np.full((64, 1, 16, 16), 0.5, np.float32)
    degraded = noise(grey, 0.1, rng())["degraded"]
    assert (degraded - grey).std() == pytest.approx(0.1, rel=0.02)
    assert (degraded - grey).mean() == pytest.approx(0.0, abs=0.005)


def test_a_mask_hides_its_share_in_all_channels_and_tells_where() -> None:
    found = mask(IMAGES, 0.3, rng())
    known = found["mask"]
    assert known.shape == (64, 1, 16, 16)
    assert known.mean() == pytest.approx(0.7, abs=0.02)
    assert np.array_equal(found["degraded"], IMAGES * known)


def test_scale_keeps_a_flat_image_and_averages_a_fine_one() -> None:
    flat = np.full((1, 1, 8, 8), 0.2, np.float32)
    assert scale(flat, 2, rng())["degraded"] == pytest.approx(np.full((1, 1, 4, 4), 51 / 255))
    checkers = np.indices((16, 16)).sum(axis=0)[None, None].astype(np.float32) % 2
    assert scale(checkers, 4, rng())["degraded"].std() < 0.02  # without antialiasing it would be all black or white


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_the_same_generator_gives_the_same_float32_bits_inside_the_range(kind: str) -> None:
    first, second = (DEGRADATIONS[kind](IMAGES, 0.5 if kind == "mask" else 2.0, rng(3)) for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert all(value.dtype == np.float32 for value in first.values())
    assert 0.0 <= first["degraded"].min() <= first["degraded"].max() <= 1.0
