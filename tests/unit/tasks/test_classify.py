from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from genfoundry.metrics import error
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks.classify import confusions, find, linear
from tests.unit.tasks.test_augment import setting

RNG = np.random.default_rng(0)


class Classifier:
    """A shipped `classify` that takes an image for bright, or for dark, whatever it is; and nothing else."""

    def __init__(self, label: int) -> None:
        self.logits, self.about = np.eye(2)[label], {"run": "other", "data": {"dataset": "dots", "labels": 8}}

    def graph(self, name: str) -> Any:
        return lambda image: self.logits + np.arange(len(image))[:, None]

    def __contains__(self, name: str) -> bool:
        return name == "classify"


@pytest.mark.parametrize(
    ("rival", "baseline", "name"),
    [(None, 0.0, "logistic regression on 8 labelled images"), (Classifier(1), 0.5, "the run other")],
)
def test_the_baseline_is_the_rival_or_linear(prepared: Path, rival: Any, baseline: float, name: str) -> None:
    artifact = cast(Artifact, Classifier(0))
    finding = find(replace(setting(prepared), artifact=artifact, rival=rival))
    assert error.METRIC.compute(finding.roles["value"], setting(prepared).config).value == 0.5
    assert error.METRIC.compute(finding.roles["baseline"], setting(prepared).config).value == baseline
    assert finding.baseline == name
    assert finding.protocol["conditions"] == "8 labels"


def test_a_linear_classifier_tells_dark_from_bright() -> None:
    labels = np.arange(40) % 2
    images = (RNG.integers(0, 100, (40, 1, 4, 4)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    assert np.array_equal(linear(images[:10], labels[:10], images[10:]), labels[10:])


def test_each_cell_shows_the_surest_image_of_its_class_taken_for_another() -> None:
    images = np.arange(1, 6, dtype=np.uint8).reshape(5, 1, 1, 1)
    asked = np.array([0, 0, 0, 1, 1])
    logits = np.array([[5.0, 4.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0], [9.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    cells = confusions(images, asked, logits).reshape(3, 3)
    assert cells.tolist() == [[2, 255, 3], [4, 5, 255], [255, 255, 255]]
