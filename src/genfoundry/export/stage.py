"""The export stage: a trained run → its ONNX files, each through the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.contract import DataSpec, GenerativeModel, Graph
from genfoundry.data.batches import Prepared
from genfoundry.data.supply import seen, supply, with_labels
from genfoundry.export import GATE, gate, onnx, variants
from genfoundry.export.variants import Calibration
from genfoundry.files import folder_atomic, read_json, write_json
from genfoundry.journal import recording
from genfoundry.models import build
from genfoundry.params import Data, Export, load, validate
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.golden import FULL, VARIANT
from genfoundry.training.weights import load_weights


def export_run(name: str) -> None:
    """Write `onnx/<name>/<graph>.onnx` and the margins, or nothing.

    Raises:
        ExportError, GateError: a graph cannot be written or is not reproduced.
    """
    params, about = load(), read_json(Path("models") / name / "run.json")
    prepared, data = Prepared(Path("data/prepared") / about["data"]["dataset"]), validate(Data, about["data"])
    graphs = trained(name, about, seen(prepared.spec, data)).graphs()
    target, labels = Path("onnx") / name, {"experiment": data.dataset, "identity": about["identity"]}
    with recording(name, "export", **labels) as journal:
        with folder_atomic(target) as folder:
            margins = write_checked(graphs, folder, describe(about, prepared), params.export)
            batch = learnt(prepared, data, params.export.calibration, params.seed)
            smaller = variants.write_all(graphs, folder, Calibration(Artifact.load(folder), batch), params.export)
            limits = params.export.gate.model_dump(mode="json")
            write_json(folder / GATE, {"limits": limits, "margins": margins, "variants": smaller})
        for graph_name, margin in margins.items():
            journal.file(target / f"{graph_name}.onnx", "onnx")
            journal.metrics(about["step"], {f"gate.{graph_name}.{k}": v for k, v in margin.items()})


def learnt(prepared: Prepared, data: Data, count: int, seed: int) -> Mapping[str, np.ndarray]:
    """A batch of `count` training images, or of as many as there are, with their labels where the run has some."""
    train = prepared.split("train")
    few = min(count, len(with_labels(train, prepared.spec, data, seed)))
    return supply(train, prepared.spec, data, few, seed).at(0)


def write_checked(
    graphs: Sequence[Graph], folder: Path, words: Mapping[str, Any], config: Export
) -> dict[str, dict[str, float]]:
    """The margin of each graph, written to `folder`."""
    margins: dict[str, dict[str, float]] = {}
    for graph in graphs:
        path = folder / f"{graph.name}.onnx"
        onnx.write(graph, path, words, config.opset)
        margins[graph.name] = asdict(gate.check(graph, path, config.gate))
        print(
            f"{words['run']}: {path.name} passed the gate, max error {margins[graph.name]['max_abs']:.1e}",
            flush=True,
        )
    return margins


def trained(name: str, about: dict[str, Any], data: DataSpec) -> GenerativeModel:
    """The model that the train stage left in `models/<name>/`, in evaluation mode."""
    model = build(about["family"], about["model"], data)
    load_weights(Path("models") / name / "weights.safetensors", model)
    return model.eval()


def describe(about: dict[str, Any], prepared: Prepared) -> dict[str, Any]:
    """What a file says of itself: nothing that its inputs do not determine.

    `licence` is the data's; `published_weights` is the SHA-256 of those that a loss or a player is made of.
    """
    return {
        "run": about["run"],
        VARIANT: FULL,
        "family": about["family"],
        "identity": about["identity"],
        "steps": about["step"],
        "data": about["data"],
        "dataset": prepared.about["name"],
        "fingerprint": prepared.about["fingerprint"],
        "licence": prepared.about["licence"],
        "code_licence": metadata("genfoundry")["License-Expression"],
        "published_weights": about["published"],
        "classes": prepared.about["classes"],
    }
