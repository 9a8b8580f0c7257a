"""The package stage: what ships, the same bytes as were measured, with a card that says what they are."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genfoundry.files import folder_atomic, read_json, sha256_file, write_json
from genfoundry.journal import recording
from genfoundry.runtime.artifact import Artifact
from genfoundry.spec import TensorSpec


def package_run(name: str) -> None:
    """Fill `dist/<name>/` from `onnx/<name>/` and the scores."""
    artifact = Artifact.load(Path("onnx") / name)
    about = artifact.about
    card = make_card(
        artifact, read_json(Path(f"metrics/{name}.json")), read_json(Path(f"metrics/{name}.protocol.json"))
    )
    target = Path("dist") / name
    with recording(name, "package", experiment=about["dataset"], identity=about["identity"]) as journal:
        with folder_atomic(target) as folder:
            for graph in artifact.graphs.values():
                shutil.copyfile(graph.path, folder / graph.path.name)
            write_json(folder / "card.json", card)
            (folder / "README.md").write_text(model_card(card), encoding="utf-8")
        for document in ("card.json", "README.md"):
            journal.file(target / document, "card")


def make_card(artifact: Artifact, scores: Mapping[str, Any], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Everything a user of the files needs to know, as data."""
    files = {
        name: {
            "file": graph.path.name,
            "bytes": graph.path.stat().st_size,
            "sha256": sha256_file(graph.path),
            "inputs": graph.about["inputs"],
            "outputs": graph.about["outputs"],
        }
        for name, graph in artifact.graphs.items()
    }
    about = {
        key: artifact.about[key]
        for key in ("run", "family", "dataset", "licence", "classes", "fingerprint", "identity")
    }
    measured = {
        metric: {
            **protocol[metric],
            "baseline_name": protocol[metric]["baseline"],
            **{role: value if math.isfinite(value) else None for role, value in roles.items()},
        }
        for metric, roles in scores.items()
    }
    return {**about, "versions": artifact.about["versions"], "graphs": files, "scores": measured}


def model_card(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    lines = [
        f"# {card['run']}",
        "",
        f"A `{card['family']}` trained on {card['dataset']} ({card['licence']}), exported to ONNX and measured on "
        "the exported files.",
        "",
        "| graph | takes | gives | size | SHA-256 |",
        "|---|---|---|---|---|",
    ]
    for name, graph in card["graphs"].items():
        takes, gives = (_signature(graph[side]) for side in ("inputs", "outputs"))
        lines.append(
            f"| `{name}` | {takes} | {gives} | {graph['bytes'] / 1e6:.2f} MB | `{graph['sha256'][:16]}…` |"
        )
    lines += ["", "| score | value | baseline | floor | measured on |", "|---|---|---|---|---|"]
    for metric, entry in card["scores"].items():
        floor = _number(entry["floor"]) if "floor" in entry else "–"
        spread = f" ± {entry['stderr']:.2g}" if "stderr" in entry else ""
        lines.append(
            f"| {metric} ({entry['better']} is better) | {_number(entry['value'])}{spread} "
            f"| {_number(entry['baseline'])} ({entry['baseline_name']}) | {floor} "
            f"| `{entry['graph']}`, n = {entry['n']} |"
        )
    lines += ["", "Images are float32 NCHW in [0, 1] at every input and output.", ""]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "∞" if value is None else f"{value:.4g}"


def _signature(specs: Mapping[str, Mapping[str, Any]]) -> str:
    typed = {name: TensorSpec.from_json(spec) for name, spec in specs.items()}
    return ", ".join(f"`{name}` {spec.kind} `{list(spec.shape)}`" for name, spec in typed.items())
