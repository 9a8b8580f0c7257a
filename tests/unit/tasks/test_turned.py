from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.pictures import to_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import turned
from tests.unit import tiny
from tests.unit.tasks.made import generator, setting, untrained

MODEL = {"alpha": 0.02, "depth": 1, "hidden": 4, "context": 0, "temperature": 0.7}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model = untrained("flow", MODEL)
    return generator(model, tmp_path_factory.mktemp("flow"))


def test_only_a_generator_with_something_to_turn_is_asked(artifact: Artifact, shipped: Path) -> None:
    assert turned.TASK.applies(setting(artifact))
    assert not turned.TASK.applies(setting(Artifact.load(shipped)))


def test_temperature_goes_from_one_image_past_the_samples_as_they_are(artifact: Artifact) -> None:
    rows = turned.turned(setting(artifact), "temperature").reshape(len(turned.VALUES), turned.COLUMNS, *tiny.SHAPE)
    assert np.array_equal(rows[0], np.broadcast_to(rows[0, :1], rows[0].shape))
    usual = to_bytes(artifact.generate(turned.COLUMNS, seed=0))
    assert np.array_equal(rows[turned.VALUES.index(0.7)], usual)
    assert np.unique(rows[-1], axis=0).shape[0] == turned.COLUMNS


def test_there_is_a_picture_for_each_input_with_a_default_and_no_score(artifact: Artifact) -> None:
    finding = turned.find(setting(artifact))
    assert not finding.roles
    assert set(finding.pictures) == {"temperature"}
