from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from genfoundry.pictures import GAP, beside, enlarged, from_bytes, grid, png, to_bytes


def solid(count: int, depth: int = 1, size: tuple[int, int] = (3, 5)) -> np.ndarray:
    """Image i is filled with the value i."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, depth, *size))


def test_bytes_survive_the_round_trip() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_bytes(from_bytes(every)), every)
    assert from_bytes(every).dtype == np.float32
    assert (from_bytes(every).min(), from_bytes(every).max()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "byte"),
    [(-0.2, 0), (1.7, 255), (10.4 / 255, 10), (10.6 / 255, 11), (254.6 / 255, 255), (-1e30, 0), (np.inf, 255)],
)
def test_to_bytes_rounds_to_nearest_and_clamps(value: float, byte: int) -> None:
    assert to_bytes(np.array([value])).tolist() == [byte]


@pytest.mark.parametrize(
    ("count", "columns", "layout"),
    [(9, None, (3, 3)), (5, None, (2, 3)), (1, None, (1, 1)), (6, 4, (2, 4))],
)
def test_grid_places_images_row_by_row_on_white(count: int, columns: int | None, layout: tuple[int, int]) -> None:
    picture, (rows, across) = grid(solid(count), columns), layout
    assert picture.shape == (rows * (3 + GAP) - GAP, across * (5 + GAP) - GAP, 1)
    for index in range(rows * across):
        top, left = (3 + GAP) * (index // across), (5 + GAP) * (index % across)
        cell = picture[top : top + 3, left : left + 5]
        assert (cell == (index if index < count else 255)).all()
    gaps = np.ones(picture.shape, dtype=bool)
    for row in range(rows):
        for column in range(across):
            gaps[row * (3 + GAP) : row * (3 + GAP) + 3, column * (5 + GAP) : column * (5 + GAP) + 5] = False
    assert (picture[gaps] == 255).all()


def test_grid_keeps_colours_in_place() -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4)).astype(np.uint8)
    picture = grid(images, 2)
    assert np.array_equal(picture[:4, 4 + GAP :], images[1].transpose(1, 2, 0))


def test_beside_alternates_bytes_and_values() -> None:
    mixed = beside(solid(3), from_bytes(solid(3) + 100))
    assert mixed[:, 0, 0, 0].tolist() == [0, 100, 1, 101, 2, 102]


@pytest.mark.parametrize("depth", [1, 3])
def test_png_decodes_to_the_same_pixels(depth: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, depth)).astype(np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(png(picture))))
    assert np.array_equal(decoded.reshape(picture.shape), picture)
    assert png(picture) == png(picture)


def test_small_images_are_enlarged_by_repeating_pixels() -> None:
    small = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    assert enlarged(small, 4)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert np.array_equal(enlarged(small, 2), small)
