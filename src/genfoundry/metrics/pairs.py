"""All pairs of two sets of features, visited once, in tiles: what kernel distances and manifolds are made of.

A tile's inner products give both the kernels and the distances of its pairs. They are float32, of features about a
mean. In the sum of many kernels their errors average out. A distance they give with bounds, and is worked out in
float64 where the bounds leave a question open. Memory is a few tiles, however large the sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import TypeVar

import numpy as np

TILE = 768  # rows, and columns, of pairs at a time: 2 MB in float32
FEW = 2**22  # pairs, in whose sum the errors of float32 might show: in float64
BLOCK = 2**20  # pairs, or features of pairs, at a time in float64: 8 MB
SPARE = 3  # candidates for the k-th neighbour, beyond k
ROUNDING = 1e-13  # of a squared distance in float64, beside the squared lengths of what it is between
UNIT = 2.0**-24  # of float32's rounding

T = TypeVar("T")
S = TypeVar("S")
Tile = tuple[slice, slice]


@dataclass(frozen=True)
class Within:
    """What the pairs inside one set (N, D) say. No row is its own partner."""

    kernel: np.ndarray  # (N, S) Σ_j w_js k(x_i, x_j)
    squared_radii: np.ndarray  # (N, K) squared distance to the k-th neighbour


@dataclass(frozen=True)
class Across:
    """What the pairs of two sets, (N, D) and (M, D), say. A ball reaches to its centre's k-th neighbour."""

    kernel: np.ndarray  # (N, S) Σ_j w_js k(x_i, y_j)
    kernel_of_y: np.ndarray  # (M,) Σ_i k(x_i, y_j)
    balls_of_y: np.ndarray  # (N, K) how many of y's balls x_i lies in
    y_holds: np.ndarray  # (M, K) whether y_j's ball holds any of x
    y_held: np.ndarray  # (M, K) whether y_j lies in any of x's balls


class Centred:
    """A set (N, D) about a point c, in units of √D: x' = (x − c)/√D, in float32 where `pairs` are many."""

    def __init__(self, exact: np.ndarray, centre: np.ndarray, pairs: int) -> None:
        self.exact, self.width = exact, exact.shape[1]
        precision = np.float32 if pairs > FEW else np.float64

        def part(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            about = exact[rows] - centre
            along = about @ centre
            about /= np.sqrt(self.width)
            return about.astype(precision), along, np.einsum("nd,nd->n", about, about)

        self.rows, along, lengths = map(np.concatenate, zip(*_over(part, _spans(len(exact))), strict=True))
        self.offsets = (along + 0.5 * centre @ centre) / self.width + 0.5  # x·y/D + 1 = x'·y' + both offsets
        # Of a squared distance, beside the other's: |fl(x·y) − x·y| ≤ D u |x| |y| in any order of summation (Higham
        # 2002, section 3.1), and 2 |x| |y| ≤ |x|² + |y|². Fewer than 16 roundings of these lengths go with it.
        self.error = (self.width + 16) * UNIT * lengths
        self.halves = (0.5 * (lengths - self.error)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)


def within(x: np.ndarray, weights: np.ndarray, neighbours: tuple[int, ...]) -> Within:
    """Of (N, D), with S weightings (N, S); distances to its K `neighbours`, ∞ where there are fewer."""
    own, kernel = Centred(x, x.mean(axis=0, dtype=np.float64), len(x) ** 2), np.zeros(weights.shape)
    candidates = Candidates(len(x), max(neighbours, default=0) + SPARE)

    def part(tile: Tile) -> list[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        rows, columns = tile
        cubes, closeness = _look(own, own, tile)
        if rows == columns:
            np.fill_diagonal(cubes, 0.0)
            np.fill_diagonal(closeness, -np.inf)
        found = [(rows, cubes @ weights[columns], *candidates.among(closeness, columns))]
        if rows != columns:
            found.append((columns, cubes.T @ weights[rows], *candidates.among(closeness.T.copy(), rows)))
        return found

    for found in _over(part, list(combinations_with_replacement(_spans(len(x)), 2))):
        for rows, sums, closeness, places in found:
            kernel[rows] += sums
            candidates.add(rows, closeness, places)
    return Within(kernel, _squared_radii(own, candidates, neighbours))


def across(x: np.ndarray, y: np.ndarray, weights: np.ndarray, of_x: Within, of_y: Within) -> Across:
    """Of (N, D) and (M, D), with S weightings (M, S) of the second, and what was found within both."""
    centre, radii = y.mean(axis=0, dtype=np.float64), (of_x.squared_radii, of_y.squared_radii)
    a, b = (Centred(each, centre, len(x) * len(y)) for each in (x, y))
    kernel, kernel_of_y = np.zeros((len(x), weights.shape[1])), np.zeros(len(y))
    counts, holds, held = np.zeros(radii[0].shape, int), *np.zeros((2, *radii[1].shape), bool)

    def part(tile: Tile) -> tuple[Tile, np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        cubes, closeness = _look(a, b, tile)
        return tile, cubes @ weights[tile[1]], cubes.sum(axis=0), _in_balls(a, b, tile, closeness, radii)

    for (rows, columns), of_x_rows, of_y_rows, inside in _over(part, list(product(_spans(len(x)), _spans(len(y))))):
        kernel[rows] += of_x_rows
        kernel_of_y[columns] += of_y_rows
        for total, more in zip((counts[rows], holds[columns], held[columns]), inside, strict=True):
            total += more  # of bool: or
    return Across(kernel, kernel_of_y, counts, holds, held)


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,) squared distance of each of (N, D) to the nearest of (M, D), in float64."""
    return np.concatenate(_over_squared(x, y, lambda _, squared: squared.min(axis=1)))


class Candidates:
    """For the nearest neighbours of N rows: those which may be nearest, as the tiles' bounds say."""

    def __init__(self, rows: int, count: int) -> None:
        self.count = min(count, rows)
        self.closeness = np.full((rows, self.count), -np.inf, np.float32)
        self.places = np.repeat(np.arange(rows)[:, None], self.count, axis=1)  # its own: none yet

    def among(self, closeness: np.ndarray, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """The closest of a tile to each of its rows, and their places."""
        return self._closest(closeness, np.broadcast_to(np.arange(columns.start, columns.stop), closeness.shape))

    def add(self, rows: slice, closeness: np.ndarray, places: np.ndarray) -> None:
        """Keeps the closest of what there was and what is new."""
        closeness, places = np.hstack([self.closeness[rows], closeness]), np.hstack([self.places[rows], places])
        self.closeness[rows], self.places[rows] = self._closest(closeness, places)

    def _closest(self, closeness: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.argpartition(closeness, max(0, closeness.shape[1] - self.count), axis=1)[:, -self.count :]
        return np.take_along_axis(closeness, chosen, axis=1), np.take_along_axis(places, chosen, axis=1)


def _look(a: Centred, b: Centred, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) twice: k(x, y) = (x·y/D + 1)³, and how close at most: −‖x − y‖²/2D or a bit more."""
    rows, columns = tile
    dots: np.ndarray = np.matmul(a.rows[rows], b.rows[columns].T)
    kernel = dots.astype(np.float64)  # in place from here on: fresh memory takes longer than the sums
    kernel += a.offsets[rows, None]
    kernel += b.offsets[columns]
    cubes = kernel * kernel
    cubes *= kernel
    dots -= a.halves[rows, None]
    dots -= b.halves[columns]
    return cubes, dots


def _squared_radii(own: Centred, candidates: Candidates, neighbours: tuple[int, ...]) -> np.ndarray:
    """(N, K): by the exact distances of the candidates, where no other can be as near as the last of them."""
    if not neighbours:
        return np.empty((len(own), 0))
    wanted = [min(k, candidates.count) - 1 for k in neighbours]
    everything = np.arange(len(own))
    squared = _to_places(own, everything, candidates.places)
    if candidates.count < len(own):
        beyond = np.maximum(0.0, -2.0 * own.width * candidates.closeness.min(axis=1).astype(np.float64))
        doubtful = np.flatnonzero(squared[:, max(wanted)] > beyond)
        if len(doubtful):
            places = _nearest_places(own.exact, doubtful, candidates.count)
            squared[doubtful] = _to_places(own, doubtful, places)
    return squared[:, wanted]


def _nearest_places(x: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """(rows, count) of the nearest others, by distances in float64."""

    def part(block: slice, squared: np.ndarray) -> np.ndarray:
        squared[np.arange(len(squared)), rows[block]] = np.inf
        return np.argpartition(squared, count - 1, axis=1)[:, :count]

    return np.concatenate(_over_squared(x[rows], x, part))


def _to_places(own: Centred, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(rows, C) ascending squared distances from rows to places (rows, C); ∞ to a row itself."""
    count = places.shape[1]

    def part(block: slice) -> np.ndarray:
        return _exact(own, own, np.repeat(rows[block], count), places[block].ravel()).reshape(-1, count)

    squared = np.concatenate(list(_over(part, _spans(len(rows)))))
    squared[places == rows[:, None]] = np.inf
    squared.sort(axis=1)
    return squared


def _in_balls(
    a: Centred, b: Centred, tile: Tile, closeness: np.ndarray, radii: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many of the columns' balls each row is in; which of them hold a row; which columns a row's ball holds."""
    rows, columns = tile
    of_rows, of_columns = radii[0][rows], radii[1][columns]
    farthest = [(of.max(axis=1, initial=0.0) / (-2.0 * a.width)).astype(np.float32) for of in (of_rows, of_columns)]
    perhaps = (closeness > farthest[0][:, None]) | (closeness > farthest[1])
    i, j = np.divmod(np.flatnonzero(perhaps), closeness.shape[1])
    of_rows, of_columns = of_rows[i], of_columns[j]
    pairs = i + rows.start, j + columns.start
    squared = _decisive(a, b, *pairs, closeness[perhaps], np.hstack([of_rows, of_columns]))
    in_rows, in_columns = squared[:, None] < of_rows, squared[:, None] < of_columns
    holds, held = (_counts(j, inside, closeness.shape[1]) > 0 for inside in (in_columns, in_rows))
    return _counts(i, in_columns, len(closeness)), holds, held


def _decisive(
    a: Centred, b: Centred, i: np.ndarray, j: np.ndarray, closeness: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """(P,) squared distances of pairs (i, j), on the right side of each of their (P, 2K) squared radii."""
    low = np.maximum(0.0, -2.0 * a.width * closeness.astype(np.float64))
    high = low + 2.0 * a.width * (a.error[i] + b.error[j])
    doubtful = np.flatnonzero(((low[:, None] < radii) & (radii <= high[:, None])).any(axis=1))
    low[doubtful] = _exact(a, b, i[doubtful], j[doubtful])
    return low


def _counts(places: np.ndarray, which: np.ndarray, length: int) -> np.ndarray:
    """(P,) places, (P, K) of them that count → (length, K)."""
    counts = np.empty((length, which.shape[1]), int)
    for k, chosen in enumerate(which.T):
        counts[:, k] = np.bincount(places[chosen], minlength=length)
    return counts


def _exact(a: Centred, b: Centred, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(P,) squared distances of pairs (i, j), of differences in float64: 0 between equal images."""
    found = np.empty(len(i))
    for part in _spans(len(i), max(1, BLOCK // a.width)):
        gaps = np.subtract(a.exact[i[part]], b.exact[j[part]], dtype=np.float64)
        found[part] = np.einsum("pd,pd->p", gaps, gaps)
    return found


def _over_squared(x: np.ndarray, y: np.ndarray, part: Callable[[slice, np.ndarray], T]) -> list[T]:
    """`part` of rows and their squared distances (rows, M), of inner products in float64, a block at a time."""
    y = y.astype(np.float64)
    norms = np.square(y).sum(axis=1)

    def squared(rows: slice) -> T:
        some = x[rows].astype(np.float64)
        lengths, found = np.square(some).sum(axis=1), some @ y.T
        found *= -2.0
        found += lengths[:, None]
        found += norms
        found[found < ROUNDING * (lengths.max() + norms.max())] = 0.0  # of equal images
        return part(rows, found)

    return list(_over(squared, _spans(len(x), max(1, BLOCK // len(y)))))


def _spans(count: int, size: int | None = None) -> list[slice]:
    size = size or TILE
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _over(part: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    """`part` of each item, in order, one on each core."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(part, items)
