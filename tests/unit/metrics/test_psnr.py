from __future__ import annotations

import numpy as np
import pytest

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics import Paired
from genfoundry.metrics.psnr import psnr
from tests.unit import tiny

CONFIG = tiny.evaluation()
IMAGES = np.random.default_rng(0).random((6, 1, 32, 32), dtype=np.float32)


@pytest.mark.parametrize(("offset", "decibel"), [(0.1, 20), (0.01, 40), (1.0, 0)])
def test_a_constant_error_has_a_known_ratio(offset: float, decibel: float) -> None:
    assert psnr(Paired(IMAGES, IMAGES + np.float32(offset)), CONFIG).value == pytest.approx(decibel, abs=0.01)


def test_each_image_counts_by_its_own_ratio() -> None:
    offsets = np.array([0.1, 0.001] * 3, np.float32)[:, None, None, None]
    assert psnr(Paired(IMAGES, IMAGES + offsets), CONFIG).value == pytest.approx((20 + 60) / 2, abs=0.05)


def test_white_noise_has_the_ratio_of_its_variance() -> None:
    noisy = IMAGES + np.random.default_rng(1).normal(0, 0.05, IMAGES.shape).astype(np.float32)
    assert psnr(Paired(IMAGES, noisy), CONFIG).value == pytest.approx(-10 * np.log10(0.05**2), abs=0.3)
