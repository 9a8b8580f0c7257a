from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks.generate import other_samples
from tests.unit.tasks.test_augment import setting
from tests.unit.tasks.test_classify import Classifier


def test_a_rival_that_generates_nothing_leaves_the_gaussian_to_beat(prepared: Path) -> None:
    rival = cast(Artifact, Classifier(0))
    images, name = other_samples(replace(setting(prepared), rival=rival), 5)
    assert len(images) == 5
    assert name == "Gaussian on PCA with 3 components"


def test_a_baseline_sees_what_the_run_saw(prepared: Path) -> None:
    assert len(setting(prepared).prepared.split("train")) > 8
    assert setting(prepared).pca(100).components == len(setting(prepared).labelled) == 8
