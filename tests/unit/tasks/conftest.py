"""Settings of tiny runs: what tasks gather their evidence from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genfoundry.data.batches import Prepared
from genfoundry.export import onnx
from genfoundry.models import build
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import Setting
from tests.unit import tiny

LABELLED = {"latent_dim": 3, "channels": 2, "features": 8, "control": 0.0}


@dataclass
class Judge:
    """Knows bright images from dark ones."""

    knows_classes: bool = True

    def classify(self, samples: np.ndarray) -> np.ndarray:
        return (samples.mean(axis=(1, 2, 3)) > 128).astype(int)


def ship(folder: Path, family: str, model: dict[str, Any], levels: int, **data: Any) -> Path:
    """An untrained model's graphs."""
    torch.manual_seed(0)
    for graph in build(family, model, replace(tiny.DATA, levels=levels)).eval().graphs():
        about = {**tiny.ABOUT, "data": {"dataset": "dots", **data}}
        onnx.write(graph, folder / f"{graph.name}.onnx", about, opset=20)
    return folder


@pytest.fixture(scope="session")
def one_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE of bits that has seen one class of two, and the other classes' images are noisy to it."""
    data = {"binarize": True, "classes": ["zero"], "degradations": {"noise": 0.2}}
    return ship(tmp_path_factory.mktemp("one") / "onnx", "vae", tiny.VAE, 2, **data)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional VAE of bits."""
    return ship(tmp_path_factory.mktemp("labelled") / "onnx", "conditional_vae", LABELLED, 2, binarize=True)


@pytest.fixture
def setting_of(prepared: Path) -> Callable[[Path], Setting]:
    """The setting of the graphs in a folder, on the data set of dark and bright images."""

    def make(folder: Path) -> Setting:
        artifact, judge = Artifact.load(folder), Judge()
        return Setting(artifact, Prepared(prepared), judge, tiny.evaluation(), seed=0)  # type: ignore[arg-type]

    return make
