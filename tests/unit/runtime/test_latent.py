from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.latent import between_images, between_noises, lerp, path, slerp

STEPS = 10
START, END = np.random.default_rng(0).standard_normal((2, 5, 7))


@pytest.mark.parametrize("between", [lerp, slerp])
def test_a_path_begins_and_ends_where_it_should(between: Callable[..., np.ndarray]) -> None:
    np.testing.assert_allclose(between(START, END, 0.0), START)
    np.testing.assert_allclose(between(START, END, 1.0), END)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_on_the_sphere_lengths_stay_and_angles_are_shared_out(share: float) -> None:
    start, end = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in (START, END))
    found = slerp(start, end, share)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    angle = np.arccos((start * end).sum(axis=1))
    np.testing.assert_allclose(np.arccos((start * found).sum(axis=1)), share * angle, atol=1e-6)


def test_between_equal_points_there_is_nothing_to_turn() -> None:
    np.testing.assert_allclose(slerp(START, START, 0.3), START, rtol=1e-6)


def test_paths_lie_one_after_the_other() -> None:
    found = path(START, END, STEPS, False).reshape(5, STEPS, 7)
    np.testing.assert_allclose(found[:, 0], START, rtol=1e-6)
    np.testing.assert_allclose(found[:, -1], END, rtol=1e-6)
    np.testing.assert_allclose(np.diff(found, axis=1).std(axis=1), 0.0, atol=1e-6)


def test_the_way_between_seeds_begins_and_ends_with_their_images(shipped: Path) -> None:
    artifact = Artifact.load(shipped)
    images = between_noises(artifact, (3, 7), 5)
    assert len(images) == 5
    np.testing.assert_allclose(
        images[[0, -1]], np.concatenate([artifact.generate(1, 3), artifact.generate(1, 7)]), atol=1e-6
    )


def test_the_way_between_images_begins_and_ends_with_their_reconstructions(shipped: Path) -> None:
    artifact = Artifact.load(shipped)
    start, end = np.random.default_rng(0).random((2, 3, 1, 8, 8), dtype=np.float32)
    images = between_images(artifact, start, end, 4).reshape(3, 4, 1, 8, 8)
    np.testing.assert_allclose(images[:, 0], artifact.reconstruct(start), atol=1e-6)
    np.testing.assert_allclose(images[:, -1], artifact.reconstruct(end), atol=1e-6)
