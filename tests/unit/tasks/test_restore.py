from __future__ import annotations

import numpy as np
import pytest

from genfoundry.tasks.restore import gaussian_filter, layout, mean_fill, non_local_means

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_classical_denoisers_lower_the_error_and_keep_the_shape(channels: int) -> None:
    clean = np.zeros((3, channels, 28, 28), np.float32)
    clean[:, :, 8:20, 8:20] = 1.0
    noisy = np.clip(clean + 0.2 * RNG.standard_normal(clean.shape), 0, 1).astype(np.float32)
    for found in (gaussian_filter(noisy, 0.6), non_local_means(noisy, 0.2, 0.6)):
        assert found.shape == clean.shape
        assert found.dtype == np.float32
        assert np.square(found - clean).mean() < np.square(noisy - clean).mean()


def test_a_gaussian_filter_mixes_neither_images_nor_channels() -> None:
    images = np.zeros((2, 2, 8, 8), np.float32)
    images[0, 1, 4, 4] = 1.0
    found = gaussian_filter(images, 1.0)
    assert found[0, 1].sum() == pytest.approx(1.0, abs=1e-3)
    assert not found[1].any()
    assert not found[0, 0].any()


def test_mean_fill_puts_the_mean_where_nothing_is_known() -> None:
    images, mean = RNG.random((2, 1, 4, 4), dtype=np.float32), RNG.random((1, 4, 4), dtype=np.float32)
    known = (RNG.random((2, 1, 4, 4)) > 0.5).astype(np.float32)
    found = mean_fill(images * known, known, mean)
    assert np.array_equal(found[known == 1], images[known == 1])
    assert np.array_equal(found[known == 0], np.broadcast_to(mean, found.shape)[known == 0])


@pytest.mark.parametrize(("width", "shown"), [(28, (4, 32)), (96, (2, 16)), (500, (2, 16))])
def test_fewer_of_large_images_are_shown(width: int, shown: tuple[int, int]) -> None:
    assert layout(width, wanted=32) == shown
