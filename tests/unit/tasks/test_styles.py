from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.pictures import to_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import styles
from tests.unit import tiny
from tests.unit.tasks.made import generator, setting, untrained

MODEL = {
    "latent_dim": 4,
    "mapping_layers": 1,
    "generator_channels": 2,
    "discriminator_channels": 2,
    "widest": 4,
    "r1": 0.0,
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model = untrained("stylegan", MODEL)
    model.generator.mapping.average.normal_()
    return generator(model, tmp_path_factory.mktemp("stylegan"))


def test_only_a_generator_with_styles_is_asked(artifact: Artifact, shipped: Path) -> None:
    assert styles.TASK.applies(setting(artifact))
    assert not styles.TASK.applies(setting(Artifact.load(shipped)))


def test_the_mixing_picture_has_the_styles_at_its_edge(artifact: Artifact) -> None:
    cells = styles.mixed(setting(artifact)).reshape(styles.SOURCES + 1, styles.COLUMNS + 1, *tiny.SHAPE)
    alone = to_bytes(artifact.generate(styles.SOURCES + styles.COLUMNS, seed=0))
    assert np.array_equal(cells[1:, 0], alone[: styles.SOURCES])
    assert np.array_equal(cells[0, 1:], alone[styles.SOURCES :])
    assert (cells[0, 0] == 255).all()
    assert np.unique(cells[1:, 1:].reshape(-1, *tiny.SHAPE), axis=0).shape[0] == styles.SOURCES * styles.COLUMNS


def test_it_draws_and_scores_nothing(artifact: Artifact) -> None:
    finding = styles.find(setting(artifact))
    assert not finding.roles
    assert set(finding.pictures) == {"mixing"}
