"""The evaluate stage: an exported run → scores, each beside its baseline and floor, and pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.data.batches import Prepared
from genfoundry.files import folder_atomic, sha256_file, write_json
from genfoundry.journal import Journal, recording
from genfoundry.judge.reference import Reference
from genfoundry.metrics import Metric, Paired, Sampled, class_kl, frechet, kernel, modes, mse, psnr, ssim
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.params import Evaluation, load
from genfoundry.pictures import from_bytes, grid, png, to_bytes
from genfoundry.runtime.artifact import Artifact

#: In the order of a reader's interest.
METRICS = tuple(module.METRIC for module in (frechet, kernel, modes, class_kl, mse, psnr, ssim))

Roles = dict[str, Any]  # "value", "baseline" and, where there is one, "floor" → evidence
Pictures = dict[str, np.ndarray]  # name → (N, C, H, W) uint8


@dataclass(frozen=True)
class Setting:
    """All that evidence is gathered from."""

    artifact: Artifact
    prepared: Prepared
    reference: Reference
    config: Evaluation
    seed: int


@dataclass(frozen=True)
class Finding:
    """The evidence on one graph, what it is compared with, and what a reader should see of it."""

    roles: Roles
    baseline: str
    pictures: Pictures
    protocol: Mapping[str, Any]


def reconstruction(setting: Setting) -> Finding:
    """Held-out images through the model, and through PCA of the latent's width."""
    target = from_bytes(setting.prepared.split("test").images[: setting.config.samples])
    width = int(setting.artifact.graph("encode").outputs["latent"].shape[1])
    pca = PcaBaseline(setting.prepared.split("train").images, width)
    outputs = {"value": setting.artifact.reconstruct(target), "baseline": pca.reconstruct(target)}
    count = setting.config.pictures
    rows = [to_bytes(images[:count]) for images in (target, outputs["value"], outputs["baseline"])]
    return Finding(
        {role: Paired(target, output) for role, output in outputs.items()},
        f"PCA with {width} components",
        {"reconstruct": np.stack(rows, axis=1).reshape(-1, *target.shape[1:])},
        {"n": len(target)},
    )


def generation(setting: Setting) -> Finding:
    """Samples, and as many from a Gaussian on PCA of the noise's width, as the judge sees them."""
    count, reference = setting.config.samples, setting.reference
    noise = next(spec for spec in setting.artifact.graph("generate").inputs.values() if spec.kind == "normal")
    pca = PcaBaseline(setting.prepared.split("train").images, int(noise.shape[1]))
    images = {
        "value": to_bytes(setting.artifact.generate(count, setting.seed)),
        "baseline": to_bytes(pca.sample(count, setting.seed)),
    }
    roles = {role: reference.see(batch) for role, batch in images.items()}
    return Finding(
        {**roles, "floor": reference.floor(count)},
        f"Gaussian on PCA with {pca.components} components",
        {
            "generate": images["value"][: setting.config.pictures],
            "baseline": images["baseline"][: setting.config.pictures],
            "real": np.asarray(setting.prepared.split("test").images[: setting.config.pictures]),
        },
        {
            "n": count,
            "n_real": len(reference.test_features),
            **reference.protocol,
        },
    )


#: Reconstructions stand in rows of eight triples: image, model, baseline. Other grids are square.
COLUMNS = {"reconstruct": 24}

FINDINGS = {"generate": generation, "reconstruct": reconstruction}


def evaluate_run(name: str) -> None:
    """Measure the files in `onnx/<name>/` and write scores, protocol and pictures."""
    params, artifact = load(), Artifact.load(Path("onnx") / name)
    prepared = Prepared(Path("data/prepared") / artifact.about["dataset"])
    reference = Reference(Path("judges") / artifact.about["dataset"], len(prepared.spec.classes))
    setting = Setting(artifact, prepared, reference, params.evaluation, params.seed)
    with recording(
        name,
        "evaluate",
        experiment=artifact.about["dataset"],
        identity=artifact.about["identity"],
        tracking=params.tracking,
    ) as journal:
        findings = {graph: FINDINGS[graph](setting) for graph in artifact if graph in FINDINGS}
        scores, protocol = score(findings, artifact, params.evaluation, params.seed)
        with folder_atomic(Path("plots") / name) as folder:
            for picture, images in pictures(findings):
                content = png(grid(images, COLUMNS.get(picture)))
                (folder / f"{picture}.png").write_bytes(content)
                journal.image(f"final/{picture}", 0, content)
            write_histogram(folder / "classes.csv", findings, prepared.spec.classes)
        write_json(Path("metrics") / f"{name}.json", scores)
        write_json(Path("metrics") / f"{name}.protocol.json", protocol)
        journal.tags({f"evaluation.{key}": str(value) for key, value in params.evaluation.model_dump().items()})
        _tell(name, artifact.about["steps"], scores, journal)


def score(
    findings: Mapping[str, Finding], artifact: Artifact, config: Evaluation, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers and the words: two trees with the same keys."""
    scores, protocol = {}, {}
    for metric, finding in applicable(findings):
        name = metric.called(finding.roles["value"])
        scores[name] = {role: metric.compute(evidence, config) for role, evidence in finding.roles.items()}
        protocol[name] = {
            "better": metric.better,
            "graph": metric.graph,
            "file_sha256": sha256_file(artifact.graph(metric.graph).path),
            "leads": metric.ranks(finding.roles["value"]),
            "definition": metric.definition,
            "baseline": finding.baseline,
            "resize": None,
            "seed": seed,
            **finding.protocol,
        }
    return scores, protocol


def applicable(findings: Mapping[str, Finding]) -> Iterator[tuple[Metric, Finding]]:
    """Each metric with the evidence on its graph, where the run ships that graph and the evidence is enough."""
    there = ((metric, findings[metric.graph]) for metric in METRICS if metric.graph in findings)
    return ((metric, finding) for metric, finding in there if metric.fits(finding.roles["value"]))


def pictures(findings: Mapping[str, Finding]) -> Iterator[tuple[str, np.ndarray]]:
    """All pictures, by name."""
    for finding in findings.values():
        yield from finding.pictures.items()


def write_histogram(path: Path, findings: Mapping[str, Finding], classes: tuple[str, ...]) -> None:
    """`class,samples,real` shares as the judge sees them; no file without samples or classes."""
    sampled = [f.roles["value"] for f in findings.values() if isinstance(f.roles["value"], Sampled)]
    for evidence in (found for found in sampled if found.labels is not None):
        with path.open("w", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["class", "samples", "real"])
            for label, *shares in zip(classes, *evidence.class_shares(), strict=True):
                table.writerow([label, *(f"{share:.5f}" for share in shares)])


def _tell(name: str, steps: int, scores: Mapping[str, Mapping[str, float]], journal: Journal) -> None:
    points: dict[str, float] = {}
    for metric, roles in scores.items():
        points |= {metric if role == "value" else f"{metric}.{role}": value for role, value in roles.items()}
        print(
            f"{name}: {metric} " + ", ".join(f"{role} {value:.4g}" for role, value in roles.items()),
            flush=True,
        )
    journal.metrics(steps, points)
