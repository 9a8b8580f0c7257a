from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from genfoundry.data.batches import Prepared, Split
from genfoundry.metrics.gain import ACCURACY, GAIN
from genfoundry.params import Augmentation, validate
from genfoundry.runtime.artifact import Artifact
from genfoundry.spec import TensorSpec
from genfoundry.tasks import Setting, augment
from tests.unit import tiny
from tests.unit.tasks.made import NOBODY

TRAINING = {"steps": 40, "log_every": 40, "sample_every": 40, "checkpoint_every": 40}
LESSONS = validate(
    Augmentation,
    {
        "seeds": 2,
        "generated": 20,
        "share": 0.75,
        "channels": 2,
        "features": 4,
        "training": {**TRAINING, "batch_size": 8, "optimizers": {"judge": {"lr": 1e-2}}},
    },
)


class Painter:
    """A shipped `generate` that paints class 1 bright, or, if it lies, class 0, over its noise."""

    def __init__(self, lies: bool) -> None:
        self.lies, self.patterns = lies, 2.0 * np.random.default_rng(0).standard_normal((3, tiny.DATA.dims))
        self.inputs = {
            "noise": TensorSpec(("batch", 3), "normal"),
            "label": TensorSpec(("batch",), "label", high=2, dtype="int64"),
        }

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        bright = inputs["label"] != self.lies
        texture = np.tanh(inputs["noise"] @ self.patterns).reshape(-1, *tiny.SHAPE)
        return 0.6 * bright[:, None, None, None] + 0.15 * (1.0 + texture)


class Shipped:
    """An artifact of one graph."""

    def __init__(self, lies: bool) -> None:
        self.painter = Painter(lies)
        self.about: dict[str, Any] = {"data": {"dataset": "dots", "labels": 8, "unlabelled": False}}

    def graph(self, name: str) -> Painter:
        return self.painter


def setting(prepared: Path, lies: bool = False) -> Setting:
    artifact, config = cast(Artifact, Shipped(lies)), tiny.evaluation(augmentation=LESSONS)
    return Setting(artifact, Prepared(prepared), NOBODY, config, seed=0)


def test_samples_are_worth_what_their_labels_are(prepared: Path) -> None:
    honest, lying = (augment.find(setting(prepared, lies)) for lies in (False, True))
    for finding in (honest, lying):
        with_made, without = (
            ACCURACY.compute(finding.roles[role], tiny.evaluation()).value for role in ("value", "baseline")
        )
        assert GAIN.compute(finding.roles["value"], tiny.evaluation()).value == pytest.approx(with_made - without)
        assert finding.protocol["conditions"] == "8 labels"
    gains = [GAIN.compute(finding.roles["value"], tiny.evaluation()).value for finding in (honest, lying)]
    assert gains[0] > gains[1] + 0.1


def test_a_batch_is_as_large_with_generated_images_as_without() -> None:
    real = Split({"image": np.zeros((8, 1, 2, 2), np.uint8), "label": np.zeros(8, np.int64)})
    made = Split({"image": np.full((20, 1, 2, 2), 255, np.uint8), "label": np.ones(20, np.int64)})
    mixed, alone = (
        supply.at(0) for supply in (augment.mixed(real, made, LESSONS, 0), augment.alone(real, LESSONS, 0))
    )
    assert {key: value.shape for key, value in mixed.items()} == {key: value.shape for key, value in alone.items()}
    assert mixed["label"].mean() == 0.75
    assert np.array_equal(mixed["image"].max(axis=(1, 2, 3)) == 255, mixed["label"] == 1)
