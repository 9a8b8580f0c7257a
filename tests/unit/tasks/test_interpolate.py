from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.tasks import Setting
from genfoundry.tasks.interpolate import (
    ROWS,
    STEPS,
    TASKS,
    arithmetic,
    has_normal_prior,
    interpolate,
    lerp,
    path,
    slerp,
    walk,
)

RNG = np.random.default_rng(0)
START, END = RNG.standard_normal((2, 5, 7))


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
    found = path(START, END, False).reshape(5, STEPS, 7)
    np.testing.assert_allclose(found[:, 0], START, rtol=1e-6)
    np.testing.assert_allclose(found[:, -1], END, rtol=1e-6)
    np.testing.assert_allclose(np.diff(found, axis=1).std(axis=1), 0.0, atol=1e-6)


def test_the_ends_of_an_interpolation_are_images_and_their_reconstructions(
    shipped: Path, setting_of: Callable[[Path], Setting]
) -> None:
    setting = setting_of(shipped)
    assert has_normal_prior(setting.artifact)
    picture = interpolate(setting).pictures["interpolate"]
    rows = picture.images.reshape(ROWS, STEPS + 2, 1, 8, 8)
    images = setting.prepared.split("test").images[: 2 * ROWS]
    again = to_bytes(setting.artifact.reconstruct(from_bytes(images)))
    assert picture.columns == STEPS + 2
    assert np.array_equal(np.concatenate([rows[:, 0], rows[:, -1]]), images)
    assert np.abs(np.concatenate([rows[:, 1], rows[:, -2]]).astype(int) - again).max() <= 1


def test_an_image_that_is_moved_to_its_own_class_is_reconstructed(
    shipped: Path, setting_of: Callable[[Path], Setting]
) -> None:
    setting = setting_of(shipped)
    rows = arithmetic(setting).pictures["arithmetic"].images.reshape(2, 3, 1, 8, 8)
    again = to_bytes(setting.artifact.reconstruct(from_bytes(rows[:, 0])))
    own = np.stack([rows[0, 1], rows[1, 2]])
    assert np.abs(own.astype(int) - again).max() <= 1
    assert not np.array_equal(rows[0, 1], rows[0, 2])


def test_a_class_stays_the_same_on_a_walk(labelled: Path, setting_of: Callable[[Path], Setting]) -> None:
    setting, given = setting_of(labelled), []
    graph = setting.artifact.graph("generate")
    run = type(graph).run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(graph), "run", lambda self, inputs: given.append(inputs) or run(self, inputs))
        assert len(walk(setting).pictures["walk"].images) == ROWS * STEPS
    labels = given[0]["label"].reshape(ROWS, STEPS)
    assert (labels == labels[:, :1]).all()
    assert len(np.unique(given[0]["noise"], axis=0)) == ROWS * STEPS


def test_what_has_no_codes_is_only_walked_through(
    shipped: Path, labelled: Path, setting_of: Callable[[Path], Setting]
) -> None:
    names = [[task.name for task in TASKS if task.applies(setting_of(folder))] for folder in (shipped, labelled)]
    assert names == [["walk", "interpolate", "arithmetic"], ["walk"]]
