"""The package stage: what ships, the same bytes as were measured, with a card that says what they are."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genfoundry.files import folder_atomic, read_json, sha256_file, write_json
from genfoundry.journal import git_state, recording
from genfoundry.report.leaderboard import verdict
from genfoundry.runtime.artifact import CARD, Artifact
from genfoundry.runtime.golden import VARIANT
from genfoundry.spec import VOCABULARY, TensorSpec

ABOUT = (
    *("run", VARIANT, "family", "dataset", "licence", "code_licence", "published_weights", "classes", "steps"),
    *("fingerprint", "identity", "opset", "ir_version", "versions"),
)
DESCRIBED = 5000  # characters that every tracking server takes in a tag

#: What a user would type for a graph; {} is the run.
COMMANDS = {
    "generate": "genfoundry generate dist/{} -n 64 --seed 1 -o samples.png",
    "reconstruct": "genfoundry reconstruct dist/{} images/ -o reconstructed/",
    "restore": "genfoundry restore dist/{} images/ -o restored/",
    "translate": "genfoundry translate dist/{} images/ -o translated/",
    "translate_back": "genfoundry translate dist/{} images/ --back -o translated/",
}


def package_run(name: str) -> None:
    """Fill `dist/<name>/` from `onnx/<name>/` and the scores."""
    artifact = Artifact.load(Path("onnx") / name)
    about = artifact.about
    ends = ("", ".protocol", ".variants")
    scores, protocol, variants = (read_json(Path("metrics") / f"{name}{end}.json") for end in ends)
    card = {**make_card(artifact, scores, protocol), "variants": variants}
    target, text = Path("dist") / name, model_card(card)
    with recording(name, "package", experiment=about["dataset"], identity=about["identity"]) as journal:
        with folder_atomic(target) as folder:
            ship(artifact, card, folder)
            (folder / "README.md").write_text(text, encoding="utf-8")
            for variant, entry in variants.items():
                if entry["ships"]:
                    smaller = Artifact.load(Path("onnx") / name / variant)
                    own = make_card(smaller, *of_variant(scores, protocol, entry))
                    ship(smaller, own, folder / variant)
        for document in (CARD, "README.md"):
            journal.file(target / document, "card")
        for path in sorted(target.glob("*/*.onnx")):
            journal.file(path, f"variants/{path.parent.name}")
        journal.tags({"description": text[:DESCRIBED]})


def ship(artifact: Artifact, card: Mapping[str, Any], folder: Path) -> None:
    """The very bytes, and beside them the card that cites them."""
    folder.mkdir(exist_ok=True)
    for graph in artifact.graphs.values():
        shutil.copyfile(graph.path, folder / graph.path.name)
    write_json(folder / CARD, card)


def of_variant(
    scores: Mapping[str, Any], protocol: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one score that a smaller form has, as `metrics/` would have it."""
    name = entry["score"]
    roles = {role: value for role, value in scores[name].items() if role in ("baseline", "floor")}
    words = {**protocol[name], "file_sha256": entry["file_sha256"]}
    return {name: {**roles, "value": entry["value"]}}, {name: words}


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
    measured = {
        metric: {
            **protocol[metric],
            "baseline_name": protocol[metric]["baseline"],
            **{role: value if math.isfinite(value) else None for role, value in roles.items()},
        }
        for metric, roles in scores.items()
    }
    about = {key: artifact.about[key] for key in ABOUT if key in artifact.about}
    return {**about, "git": git_state(), "graphs": files, "scores": measured}


def model_card(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    sections = (title(card), use(card), graphs(card), forms(card), scores(card), limits(card), origin(card))
    return "\n".join(line for section in sections for line in (*section, ""))


def title(card: Mapping[str, Any]) -> Iterator[str]:
    """What it is."""
    yield f"# {card['run']}"
    yield ""
    yield (
        f"A `{card['family']}` trained on {card['dataset']} ({card['licence']}), exported to ONNX and measured on "
        "the exported files."
    )


def use(card: Mapping[str, Any]) -> Iterator[str]:
    """What to type."""
    run = card["run"]
    yield "## Use"
    yield ""
    yield "```"
    for name, graph in card["graphs"].items():
        if name in COMMANDS:
            yield COMMANDS[name].format(run) + " --mask mask.png" * ("mask" in graph["inputs"])
    yield f"genfoundry verify dist/{run}"
    yield "```"
    yield ""
    yield f'Or in Python: `genfoundry.Artifact.load("dist/{run}")`; or any ONNX runtime on the files themselves.'
    yield "Images are float32 NCHW in [0, 1] at every input and output."


def graphs(card: Mapping[str, Any]) -> Iterator[str]:
    """A line for each file."""
    yield "| graph | takes | gives | size | SHA-256 |"
    yield "|---|---|---|---|---|"
    for name, graph in card["graphs"].items():
        takes, gives = (_signature(graph[side]) for side in ("inputs", "outputs"))
        yield f"| `{name}` | {takes} | {gives} | {graph['bytes'] / 1e6:.2f} MB | `{graph['sha256'][:16]}…` |"


def forms(card: Mapping[str, Any]) -> Iterator[str]:
    """A line for each smaller form: where it is and what it costs, or why there is none."""
    for variant, entry in card["variants"].items():
        if entry["ships"]:
            yield (
                f"- `dist/{card['run']}/{variant}` has {entry['share']:.0%} of the size of `{entry['graph']}`, and "
                f"{entry['score']} {_number(entry['value'])}"
            )
        else:
            yield f"- no {variant}: {entry['why']}"


def scores(card: Mapping[str, Any]) -> Iterator[str]:
    """A line for each score, with the file it was measured on."""
    yield "| score | value | baseline | floor | measured on |"
    yield "|---|---|---|---|---|"
    for metric, entry in card["scores"].items():
        floor = _number(entry["floor"]) if "floor" in entry else "–"
        spread = f" ± {entry['stderr']:.2g}" if "stderr" in entry else ""
        yield (
            f"| {metric} ({entry['better']} is better) | {_number(entry['value'])}{spread} "
            f"| {_number(entry['baseline'])} ({entry['baseline_name']}) | {floor} "
            f"| `{entry['graph']}` `{entry['file_sha256'][:8]}…`, n = {entry['n']} |"
        )


def limits(card: Mapping[str, Any]) -> Iterator[str]:
    """What it is not good for."""
    yield "## Limits"
    yield ""
    yield f"- It has seen {card['dataset']} and nothing else; no score here is of other data."
    sides = {tuple(spec["shape"][1:]) for graph in card["graphs"].values() for spec in _images(graph)}
    for channels, height, width in sorted(sides, key=str):
        yield f"- Its images have {channels} channel{'s' * (channels > 1)} and are {height} × {width}."
    for metric, entry in card["scores"].items():
        if entry["leads"] and _misses(entry):
            yield f"- By {metric} it does not beat {entry['baseline_name']}."
    if any(VOCABULARY[name].shows == "samples" for name in card["graphs"]):
        yield "- A sample may be near to a training image; the data's licence then holds for it."


def origin(card: Mapping[str, Any]) -> Iterator[str]:
    """What made it."""
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    commit = card["git"]["git.commit"]
    yield "## Origin"
    yield ""
    yield f"- {card['steps']} steps; identity `{card['identity']}`"
    yield f"- data `{card['fingerprint']}`, {card['licence']}; code {card['code_licence']}"
    if card["published_weights"]:
        yield f"- trained with the published weights `{card['published_weights']}`"
    if commit:
        yield f"- commit `{commit}`{', with changes' if card['git']['git.dirty'] == 'true' else ''}"
    yield f"- {versions}, opset {card['opset']}, IR {card['ir_version']}"


def _misses(entry: Mapping[str, Any]) -> bool:
    """Whether its lead over the baseline is within the error, or none."""
    value, baseline = entry["value"], entry["baseline"]
    if value is None or baseline is None:
        return False
    return verdict(value, baseline, entry["better"], entry.get("difference_stderr") or 0.0) != "beats"


def _images(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (spec for side in ("inputs", "outputs") for spec in graph[side].values() if spec["kind"] == "image")


def _number(value: float | None) -> str:
    return "∞" if value is None else f"{value:.4g}"


def _signature(specs: Mapping[str, Mapping[str, Any]]) -> str:
    typed = {name: TensorSpec.from_json(spec) for name, spec in specs.items()}
    return ", ".join(f"`{name}` {spec.kind} `{list(spec.shape)}`" for name, spec in typed.items())
