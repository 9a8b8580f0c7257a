from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from genfoundry.metrics import Sampled, Seen
from genfoundry.tasks.appearance import diversity, sharpness, table

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 3, 12, 12)).astype(np.uint8)


def test_sharpness_is_the_variance_of_scipy_s_laplacian_inside() -> None:
    inside = [laplace(channel / 255.0)[1:-1, 1:-1].var() for image in IMAGES for channel in image]
    assert sharpness(IMAGES) == pytest.approx(np.mean(inside), rel=1e-5)


def test_blurred_images_are_less_sharp_and_flat_ones_not_at_all() -> None:
    blurred = gaussian_filter(IMAGES.astype(float), (0, 0, 1, 1)).astype(np.uint8)
    assert sharpness(np.full_like(IMAGES, 90)) == pytest.approx(0.0, abs=1e-9)
    assert sharpness(blurred) < 0.1 * sharpness(IMAGES)


def test_diversity_is_the_mean_over_pairs_and_none_where_all_are_alike() -> None:
    features = RNG.standard_normal((9, 4))
    pairs = [np.linalg.norm(features[i] - features[j]) for i in range(9) for j in range(i)]
    assert diversity(features) == pytest.approx(np.mean(pairs))
    assert diversity(np.ones((9, 4))) == 0.0


def test_the_table_has_samples_beside_real_images() -> None:
    features = RNG.standard_normal((6, 4))
    found = table(np.zeros_like(IMAGES), IMAGES, Sampled(Seen(2.0 * features), Seen(features)))
    rows = {name: (float(samples), float(real)) for name, samples, real in found.rows}
    assert rows["sharpness"] == (0.0, pytest.approx(sharpness(IMAGES), rel=1e-4))
    assert rows["diversity"][0] == pytest.approx(2.0 * rows["diversity"][1], rel=1e-4)
