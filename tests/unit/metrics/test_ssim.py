from __future__ import annotations

import numpy as np
import pytest

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.metrics import Paired, ssim
from tests.unit import tiny

CONFIG = tiny.evaluation()
IMAGES = np.random.default_rng(0).random((7, 1, 16, 16), dtype=np.float32)


def score(output: np.ndarray) -> float:
    return ssim.ssim(Paired(IMAGES, output), CONFIG).value


def test_equal_images_score_one_and_more_noise_scores_less() -> None:
    noise = np.random.default_rng(1).normal(0, 1, IMAGES.shape).astype(np.float32)
    scores = [score(IMAGES + level * noise) for level in (0.0, 0.05, 0.2, 0.8)]
    assert scores[0] == pytest.approx(1, abs=1e-6)
    assert scores == sorted(scores, reverse=True)
    assert score(1 - IMAGES) < 0


def test_flat_images_have_the_closed_form() -> None:
    # Without variance only the luminance term is left: (2ab + c) / (a² + b² + c), c = 0.01².
    a, b = np.full_like(IMAGES, 0.2), np.full_like(IMAGES, 0.6)
    expected = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert ssim.ssim(Paired(a, b), CONFIG).value == pytest.approx(expected, rel=1e-3)  # float32 variances


def test_pieces_give_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    output = np.sqrt(IMAGES)
    whole = score(output)
    monkeypatch.setattr(ssim, "BLOCK_PIXELS", 3 * IMAGES[0].size)
    assert score(output) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(("side", "fits"), [(5, False), (6, True)])
def test_images_that_hold_no_window_have_no_score(side: int, fits: bool) -> None:
    small = IMAGES[..., :side, :]
    evidence = Paired(small, small)
    assert ssim.METRIC.fits(evidence) == fits
    if fits:
        assert ssim.ssim(evidence, CONFIG).value == pytest.approx(1, abs=1e-6)
