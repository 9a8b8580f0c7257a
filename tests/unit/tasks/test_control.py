from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.params import Data
from genfoundry.spec import TensorSpec
from genfoundry.tasks import learns_all, noise_width
from genfoundry.tasks.control import TASK, class_gaussians, of_each_class
from tests.unit.tasks.test_augment import setting


def distance(images: np.ndarray) -> float:
    """The most that two classes of one turn differ by, beside what the class makes of a pixel."""
    dark, bright = images[::2].astype(float), images[1::2].astype(float)
    return float(np.abs(bright - dark - 0.6 * 255).max())


def test_classes_take_turns_and_share_their_noise_where_they_should(prepared: Path) -> None:
    images, asked = of_each_class(setting(prepared), turns=6)
    alike, _ = of_each_class(setting(prepared), turns=6, alike=True)
    assert asked.tolist() == [0, 1] * 6
    assert np.array_equal(images.mean(axis=(1, 2, 3)) > 127, asked == 1)
    assert distance(images) > 10
    assert distance(alike) <= 1
    assert not np.array_equal(alike[0], alike[2])


def test_a_baseline_of_few_images_says_how_many_components_it_has(prepared: Path) -> None:
    found = setting(prepared)
    most = min(np.bincount(found.labelled.labels))
    images, name = class_gaussians(found, np.array([0, 1, 1]), components=10**6)
    assert images.shape[0] == 3
    assert name == f"a Gaussian on PCA with {min(most, found.prepared.spec.dims)} components for each class"


@pytest.mark.parametrize(("shape", "width"), [((3,), 3), ((1, 4, 5), 20)])
def test_the_baseline_is_as_wide_as_all_of_the_noise(shape: tuple[int, ...], width: int, prepared: Path) -> None:
    graph = setting(prepared).artifact.graph("generate")
    graph.inputs["noise"] = TensorSpec(("batch", *shape), "normal")
    assert noise_width(graph) == width


def test_a_run_that_learnt_some_classes_is_not_asked_for_the_others(prepared: Path) -> None:
    found = setting(prepared)
    assert learns_all(found)
    found.__dict__["data"] = Data(dataset="dots", classes=("zero",))
    assert not TASK.wanted(found)
