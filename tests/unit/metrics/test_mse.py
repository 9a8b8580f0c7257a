from __future__ import annotations

import numpy as np
import pytest

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics import Paired
from genfoundry.metrics.mse import mse
from tests.unit import tiny

CONFIG = tiny.evaluation()
IMAGES = np.random.default_rng(0).random((6, 3, 16, 16), dtype=np.float32)


def test_is_the_mean_over_pixels_and_images() -> None:
    output = IMAGES**2
    expected = float(np.square(output.astype(np.float64) - IMAGES).mean())
    assert mse(Paired(IMAGES, output), CONFIG).value == pytest.approx(expected, rel=1e-5)
    assert mse(Paired(IMAGES, IMAGES), CONFIG).value == 0


def test_noise_of_a_known_level_costs_its_variance() -> None:
    noisy = IMAGES + np.random.default_rng(1).normal(0, 0.1, IMAGES.shape).astype(np.float32)
    assert mse(Paired(IMAGES, noisy), CONFIG).value == pytest.approx(0.01, rel=0.1)
