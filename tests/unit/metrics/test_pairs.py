"""Tiles in float32 say what all pairs in float64 would, also where float32 cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics import pairs
from genfoundry.metrics.pairs import across, nearest, within

NEIGHBOURS = (3, 5)


@pytest.fixture(autouse=True, params=[1024, 37])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all rows, and many, the last of which is not full."""
    monkeypatch.setattr(pairs, "TILE", request.param)
    monkeypatch.setattr(pairs, "FEW", 0)  # all in float32


def spread(offset: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 24)) + 0.2, rng.standard_normal((211, 24))
    return tuple((each + offset).astype(np.float32) for each in (x, y))


def repeated() -> tuple[np.ndarray, np.ndarray]:
    """Some images many times, one set's among the other's."""
    x, y = spread(3.0)
    return np.concatenate([np.repeat(x[:20], 6, axis=0), y[:40], x[20:60]]), np.concatenate([y, *[y[:7]] * 6])


def of_whole_numbers() -> tuple[np.ndarray, np.ndarray]:
    """Thousands of distances that are equal to a radius, and none of whose inner products is rounded."""
    rng = np.random.default_rng(1)
    return tuple(rng.integers(0, 3, (count, 6)).astype(np.float32) for count in (190, 240))


def on_a_hair() -> tuple[np.ndarray, np.ndarray]:
    """Neighbours whose distances differ by less than float32 can say of the lengths, both ways from the radii."""
    rng = np.random.default_rng(2)
    centres = 1000.0 * rng.standard_normal((12, 16))
    steps = [1.0 + 1e-5 * rng.standard_normal((12, 15, 1)) for _ in range(2)]
    around = [rng.standard_normal((12, 15, 16)) for _ in range(2)]
    sets = [
        centres[:, None] + s * a / np.linalg.norm(a, axis=2, keepdims=True)
        for s, a in zip(steps, around, strict=True)
    ]
    return tuple(np.concatenate([centres, each.reshape(-1, 16)]) for each in sets)


SETS = {
    "spread": spread(0.0),
    "far": spread(300.0),
    "repeated": repeated(),
    "whole": of_whole_numbers(),
    "hair": on_a_hair(),
    "few": (spread(0.0)[0][:4], spread(0.0)[1][:2]),
}
sets = pytest.mark.parametrize(("x", "y"), SETS.values(), ids=SETS.keys())


def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    gaps = x.astype(np.float64)[:, None] - y.astype(np.float64)
    return np.square(gaps).sum(axis=2)


def cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1.0) ** 3


def radii(x: np.ndarray) -> np.ndarray:
    found = squared(x, x)
    np.fill_diagonal(found, np.inf)
    return np.sort(found, axis=1)[:, [min(k, len(x)) - 1 for k in NEIGHBOURS]]


def weights(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (count, 4)).astype(np.float64)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@sets
def test_within_a_set(x: np.ndarray, y: np.ndarray) -> None:
    for each in (x, y):
        found = within(each, weights(len(each)), NEIGHBOURS)
        kernel = cubic(each, each)
        np.fill_diagonal(kernel, 0.0)
        close(found.kernel, kernel @ weights(len(each)))
        np.testing.assert_allclose(found.squared_radii, radii(each), rtol=1e-12)
        assert within(each, weights(len(each)), ()).squared_radii.shape == (len(each), 0)


@sets
def test_across_two_sets(x: np.ndarray, y: np.ndarray) -> None:
    of_x, of_y = (within(each, weights(len(each)), NEIGHBOURS) for each in (x, y))
    found = across(x, y, weights(len(y)), of_x, of_y)
    close(found.kernel, cubic(x, y) @ weights(len(y)))
    close(found.kernel_of_y, cubic(x, y).sum(axis=0))
    distances = squared(x, y)[:, :, None]
    in_y, in_x = distances < of_y.squared_radii, distances < of_x.squared_radii[:, None]
    np.testing.assert_array_equal(found.balls_of_y, in_y.sum(axis=1))
    np.testing.assert_array_equal(found.y_holds, in_y.any(axis=0))
    np.testing.assert_array_equal(found.y_held, in_x.any(axis=0))


@sets
def test_the_nearest(x: np.ndarray, y: np.ndarray) -> None:
    lengths = np.square(x, dtype=np.float64).sum(axis=1).max() + np.square(y, dtype=np.float64).sum(axis=1).max()
    np.testing.assert_allclose(nearest(x, y), squared(x, y).min(axis=1), rtol=1e-9, atol=1e-12 * lengths)


def test_float32_alone_would_not_tell_a_hair_s_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the case above asks for the second look."""
    looked: list[int] = []
    original = pairs._nearest_places

    def counted(x: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        looked.append(len(rows))
        return original(x, rows, count)

    monkeypatch.setattr(pairs, "_nearest_places", counted)
    x = SETS["hair"][0]
    within(x, weights(len(x)), NEIGHBOURS)
    assert sum(looked) > 0.9 * len(x)


def test_equal_images_are_no_distance_apart() -> None:
    x = np.repeat(spread(100.0)[0][:30], 7, axis=0)
    assert not within(x, weights(len(x)), NEIGHBOURS).squared_radii.any()


def test_the_same_bits_again() -> None:
    x, y = SETS["far"]
    runs = [[within(each, weights(len(each)), NEIGHBOURS) for each in (x, y)] for _ in range(2)]
    again = [across(x, y, weights(len(y)), *of) for of in runs]
    assert again[0].kernel.tobytes() == again[1].kernel.tobytes()
    assert runs[0][0].squared_radii.tobytes() == runs[1][0].squared_radii.tobytes()
