"""The evaluate stage: an exported run → scores, each beside its baseline and floor, and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genfoundry.data.batches import Prepared
from genfoundry.data.pretrained import FOLDER
from genfoundry.export import GATE
from genfoundry.files import folder_atomic, read_json, sha256_file, write_json
from genfoundry.journal import Journal, recording
from genfoundry.judge.reference import references
from genfoundry.metrics import Metric, difference_error
from genfoundry.metrics.lpips import LpipsDistance
from genfoundry.params import NO_WEIGHTS, Evaluation, Variant, VariantName, load_run
from genfoundry.pictures import grid, png
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.golden import FULL, VARIANT
from genfoundry.tasks import (
    Finding,
    Picture,
    Setting,
    Table,
    Task,
    anomaly,
    augment,
    bayes,
    cas,
    classify,
    compress,
    control,
    features,
    generate,
    interpolate,
    leader,
    likelihood,
    projection,
    reconstruct,
    restore,
    styles,
    suitable,
    super_resolve,
    trajectory,
    translate,
    turned,
)
from genfoundry.tasks.variants import First, latencies, measure
from genfoundry.training.snapshots import read_snapshots

DTYPE = "float64 of float32"  # in which scores are added up, and of what

#: In the order of a reader's interest.
TASKS: tuple[Task, ...] = (
    generate.TASK,
    control.TASK,
    cas.TASK,
    reconstruct.TASK,
    features.TASK,
    *anomaly.TASKS,
    *restore.TASKS,
    super_resolve.TASK,
    *likelihood.TASKS,
    *translate.TASKS,
    classify.TASK,
    augment.TASK,
    turned.TASK,
    styles.TASK,
    bayes.TASK,
    compress.TASK,
    projection.TASK,
    *interpolate.TASKS,
    trajectory.TASK,
)


def evaluate_run(name: str) -> None:
    """Measure the files in `onnx/<name>/` and write scores, protocol and pictures."""
    params, run = load_run(name)
    artifact = Artifact.load(Path("onnx") / name)
    prepared = Prepared(Path("data/prepared") / artifact.about["dataset"])
    reference, *others = references(artifact.about["dataset"], params.evaluation.extractors)
    rival = Artifact.load(Path("onnx") / run.evaluation.rival) if run.evaluation.rival != name else None
    network = run.evaluation.perceptual
    perceptual = LpipsDistance(FOLDER / network) if network != NO_WEIGHTS else None
    snapshots = read_snapshots(Path("snapshots") / f"{name}.npz")
    setting = Setting(
        artifact,
        prepared,
        reference,
        params.evaluation,
        params.seed,
        tuple(others),
        rival,
        perceptual,
        snapshots,
    )
    labels = {"experiment": artifact.about["dataset"], "identity": artifact.about["identity"]}
    with recording(name, "evaluate", **labels, tracking=params.tracking) as journal:
        findings = {task: task.find(setting) for task in TASKS if task.applies(setting)}
        scores, protocol = score(findings, artifact, params.evaluation, params.seed)
        with folder_atomic(Path("plots") / name) as folder:
            draw(findings, folder, journal)
            smaller = in_other_forms(setting, findings, params.export.variants, folder)
        write_json(Path("metrics") / f"{name}.json", scores)
        write_json(Path("metrics") / f"{name}.variants.json", smaller)
        write_json(Path("metrics") / f"{name}.protocol.json", protocol)
        journal.tags({f"evaluation.{key}": str(value) for key, value in params.evaluation.model_dump().items()})
        _tell(name, artifact.about["steps"], scores, journal)


def in_other_forms(
    setting: Setting, findings: Mapping[Task, Finding], limits: Mapping[VariantName, Variant], plots: Path
) -> dict[str, Any]:
    """What the run's smaller files cost, by variant; how long they take is a table in `plots`."""
    first = First.of(findings, setting)
    graph = setting.artifact.graph(first.graph)
    folder = graph.path.parent
    refused = {name: entry["refused"] for name, entry in read_json(folder / GATE)["variants"].items()}
    found = measure(setting, first, folder, refused, limits)
    write_table(plots / "variants.csv", latencies(graph, folder, found))
    return found


def score(
    findings: Mapping[Task, Finding], artifact: Artifact, config: Evaluation, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers and the words: two trees with the same keys."""
    scores: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    for task, finding in findings.items():
        words = {
            "task": task.name,
            "graph": task.graphs[0],
            "file_sha256": sha256_file(artifact.graph(task.graphs[0]).path),
            "baseline": finding.baseline,
            "resize": None,
            VARIANT: artifact.about.get(VARIANT, FULL),
            "dtype": DTYPE,
            "seed": seed,
        }
        for view in finding.all_views:
            value = view.roles["value"]
            leading = leader(task, view)
            for metric in suitable(task, view):
                name = f"{task.prefix}{metric.called(value)}"
                scores[name] = numbers(metric, view.roles, config)
                own = {"better": metric.better, "definition": metric.definition, "leads": metric is leading}
                protocol[name] = {**words, **view.protocol, **own}
    return scores, protocol


def numbers(metric: Metric, roles: Mapping[str, Any], config: Evaluation) -> dict[str, float]:
    """A score by role, then how far it and its lead over the baseline may be off, and its spread over subsets."""
    found = {role: metric.compute(evidence, config) for role, evidence in roles.items() if metric.fits(evidence)}
    value, baseline = found["value"], found.get("baseline")
    errors = {
        "stderr": value.stderr,
        "difference_stderr": difference_error(value, baseline) if baseline else None,
        "std": value.std,
    }
    values = {role: estimate.value for role, estimate in found.items()}
    return {**values, **{key: number for key, number in errors.items() if number is not None}}


def draw(findings: Mapping[Task, Finding], folder: Path, journal: Journal) -> None:
    """Each picture as PNG, its caption in `pictures.json`, each table as CSV."""
    pictures = {name: picture for finding in findings.values() for name, picture in finding.pictures.items()}
    for name, picture in pictures.items():
        content = png(grid(picture.images, picture.columns))
        (folder / f"{name}.png").write_bytes(content)
        journal.image(f"final/{name}", 0, content)
    write_json(folder / "pictures.json", [_entry(name, picture) for name, picture in pictures.items()])
    for finding in findings.values():
        for name, table in finding.tables.items():
            write_table(folder / f"{name}.csv", table)


def write_table(path: Path, table: Table) -> None:
    """A header and the rows."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([table.header, *table.rows])


def _entry(name: str, picture: Picture) -> dict[str, Any]:
    return {"name": name, "caption": picture.caption, "wide": picture.columns is not None}


def _tell(name: str, steps: int, scores: Mapping[str, Mapping[str, float]], journal: Journal) -> None:
    points: dict[str, float] = {}
    for metric, roles in scores.items():
        points |= {metric if role == "value" else f"{metric}.{role}": value for role, value in roles.items()}
        print(
            f"{name}: {metric} " + ", ".join(f"{role} {value:.4g}" for role, value in roles.items()),
            flush=True,
        )
    journal.metrics(steps, points)
