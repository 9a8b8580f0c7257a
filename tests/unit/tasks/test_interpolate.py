from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genfoundry.data.batches import Prepared
from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.tasks import Setting
from genfoundry.tasks.interpolate import (
    ROWS,
    STEPS,
    TASKS,
    arithmetic,
    has_normal_prior,
    interpolate,
    walk,
)


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


def test_a_class_without_an_image_has_no_row(
    shipped: Path, setting_of: Callable[[Path], Setting], tmp_path: Path
) -> None:
    setting = setting_of(shipped)
    folder = Path(shutil.copytree(setting.prepared.folder, tmp_path / "few"))
    np.save(folder / "test_labels.npy", np.ones_like(np.load(folder / "test_labels.npy")))
    picture = arithmetic(replace(setting, prepared=Prepared(folder))).pictures["arithmetic"]
    assert (len(picture.images), picture.columns) == (2, 2)
    assert picture.caption.endswith("plus that of one")


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
