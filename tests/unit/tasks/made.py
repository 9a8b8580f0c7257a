"""Generators that ship, made for a test."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from genfoundry.contract import GenerativeModel
from genfoundry.export import onnx
from genfoundry.judge.extractor import Extractor
from genfoundry.judge.reference import Reference
from genfoundry.models import build
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny

NOBODY = Reference(Extractor(Path("nowhere")), Path("nowhere.npz"))  # whom no task may ask


def untrained(family: str, model: dict[str, Any]) -> GenerativeModel:
    """In evaluation mode, always the same."""
    torch.manual_seed(0)
    return build(family, model, tiny.DATA).eval()


def generator(model: GenerativeModel, folder: Path) -> Artifact:
    """Its `generate` alone, in `folder`."""
    graph = next(graph for graph in model.graphs() if graph.name == "generate")
    onnx.write(graph, folder / "generate.onnx", tiny.ABOUT, opset=20)
    return Artifact.load(folder)


def setting(artifact: Artifact) -> SimpleNamespace:
    """All that a picture is made from."""
    return SimpleNamespace(artifact=artifact, seed=0)
