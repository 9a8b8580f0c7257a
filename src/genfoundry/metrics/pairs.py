"""All pairs of two sets of features, visited once, in blocks: what kernel distances and manifolds are made of.

A block's inner products give both the kernels and the distances of its pairs. Memory is a few blocks, however
large the sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

BLOCK = 2**20  # pairs at a time: 8 MB

ROUNDING = 1e-13  # of a squared distance, beside the squared lengths of what it is between

T = TypeVar("T")


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


def within(x: np.ndarray, weights: np.ndarray, neighbours: tuple[int, ...]) -> Within:
    """Of (N, D), with S weightings (N, S); distances to its K `neighbours`, ∞ where there are fewer."""
    x = x.astype(np.float64)
    norms, nearest = np.square(x).sum(axis=1), [min(k, len(x)) - 1 for k in neighbours]

    def part(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        dots = x[rows] @ x.T
        own = np.arange(len(dots)), np.arange(rows.start, rows.start + len(dots))
        squared = _squared(dots, norms[rows], norms)
        squared[own] = np.inf
        squared.partition(nearest or 0, axis=1)
        kernel = _cubic(dots, x.shape[1])
        kernel[own] = 0.0
        return kernel @ weights, squared[:, nearest]

    kernel, radii = zip(*over_blocks(len(x), len(x), part), strict=True)
    return Within(np.concatenate(kernel), np.concatenate(radii))


def across(x: np.ndarray, y: np.ndarray, weights: np.ndarray, of_x: Within, of_y: Within) -> Across:
    """Of (N, D) and (M, D), with S weightings (M, S) of the second, and what was found within both."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    norms_x, norms_y = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    radii_x, radii_y = of_x.squared_radii, of_y.squared_radii

    def part(rows: slice) -> tuple[np.ndarray, ...]:
        dots = x[rows] @ y.T
        squared = _squared(dots, norms_x[rows], norms_y)
        in_y = [squared < radii for radii in radii_y.T]
        in_x = [squared < radii[:, None] for radii in radii_x[rows].T]
        kernel = _cubic(dots, x.shape[1])
        counts = _columns([inside.sum(axis=1) for inside in in_y], len(dots))
        holds, held = (_columns([i.any(axis=0) for i in inside], len(y)) for inside in (in_y, in_x))
        return kernel @ weights, kernel.sum(axis=0), counts, holds, held

    kernel, of_each_y, counts, holds, held = zip(*over_blocks(len(x), len(y), part), strict=True)
    return Across(
        np.concatenate(kernel), np.sum(of_each_y, axis=0), np.concatenate(counts), _any(holds), _any(held)
    )


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,) squared distance of each of (N, D) to the nearest of (M, D)."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    norms_x, norms_y = np.square(x).sum(axis=1), np.square(y).sum(axis=1)

    def part(rows: slice) -> np.ndarray:
        return _squared(x[rows] @ y.T, norms_x[rows], norms_y).min(axis=1)

    return np.concatenate(over_blocks(len(x), len(y), part))


def over_blocks(rows: int, columns: int, part: Callable[[slice], T]) -> list[T]:
    """`part` of each block of `rows`, in order, a block on each core; `columns` is how wide a row is."""
    from threadpoolctl import threadpool_limits

    size = max(1, BLOCK // columns)
    blocks = [slice(start, start + size) for start in range(0, rows, size)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(part, blocks))


def _squared(dots: np.ndarray, norms_x: np.ndarray, norms_y: np.ndarray) -> np.ndarray:
    squared = -2.0 * dots
    squared += norms_x[:, None]
    squared += norms_y
    squared[squared < ROUNDING * (norms_x.max() + norms_y.max())] = 0.0  # of equal images
    return squared


def _cubic(dots: np.ndarray, width: int) -> np.ndarray:
    """k(x, y) = (x·y/D + 1)³, in the place of the inner products."""
    dots /= width
    dots += 1.0
    return dots * dots * dots  # numpy's power takes five times as long


def _columns(arrays: list[np.ndarray], length: int) -> np.ndarray:
    """(length, K) of K arrays (length,), of which there may be none."""
    return np.array(arrays).reshape(len(arrays), length).T


def _any(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.logical_or.reduce(parts)
