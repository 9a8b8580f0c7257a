from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics import Paired
from genfoundry.metrics.ms_ssim import LEAST, METRIC, ms_ssim
from genfoundry.metrics.ssim import ssim
from tests.unit import tiny

RNG = np.random.default_rng(0)
SMOOTH = RNG.random((3, 1, 24, 24), dtype=np.float32).repeat(8, axis=2).repeat(8, axis=3)  # 192 pixels
CONFIG = tiny.evaluation()


def test_equal_images_are_alike_at_all_scales() -> None:
    assert ms_ssim(Paired(SMOOTH, SMOOTH), CONFIG).value == pytest.approx(1.0)


def test_fine_noise_costs_less_than_at_one_scale() -> None:
    """Four of the five scales have it averaged away."""
    noisy = np.clip(SMOOTH + 0.1 * RNG.standard_normal(SMOOTH.shape), 0, 1).astype(np.float32)
    evidence = Paired(SMOOTH, noisy)
    assert ssim(evidence, CONFIG).value < ms_ssim(evidence, CONFIG).value < 1.0


def test_is_for_images_whose_coarsest_scale_holds_a_window() -> None:
    for side, fits in ((LEAST - 1, False), (LEAST, True)):
        images = np.zeros((2, 1, side, LEAST), np.float32)
        assert METRIC.fits(Paired(images, images)) == fits
    assert ms_ssim(Paired(images, images), CONFIG).value == pytest.approx(1.0)
