"""The judge stage: a classifier trained on a data set, or a published network; what it sees in the real images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genfoundry.closure import closure, digest
from genfoundry.contract import Graph, Learner
from genfoundry.data.batches import Batches, Prepared
from genfoundry.data.pretrained import read_weights
from genfoundry.export import gate, onnx
from genfoundry.files import folder_atomic, sha256, write_json
from genfoundry.journal import forget_others, home
from genfoundry.judge.extractor import PretrainedJudge
from genfoundry.judge.model import Judge
from genfoundry.judge.reference import ABOUT, REFERENCE, key, look
from genfoundry.metrics import JUDGE
from genfoundry.params import Export, Extractor, Params, load_dataset
from genfoundry.params import Judge as JudgeParams
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.spec import IMAGE_KEYS
from genfoundry.training.guard import exclusive
from genfoundry.training.loop import train
from genfoundry.training.runtime import Runtime


class JudgeError(RuntimeError):
    """The judge classifies too badly to measure with."""


class Quiet:
    """The judge's training shows its progress bar alone."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to keep."""

    def samples(self, step: int, model: Learner) -> bool:
        """Nothing to draw, and nothing to keep."""
        return False


def judge_dataset(name: str) -> None:
    """Train the judge of `name` or load the published one, export it, and measure the real data once for all.

    Raises:
        JudgeError: a trained one's accuracy on the test split is under the data set's `judge.accuracy`.
        DataError: the weights of a published one were not fetched.
    """
    params, dataset = load_dataset(name)
    prepared = Prepared(Path("data/prepared") / name)
    if isinstance(dataset.judge, Extractor):
        use_published(name, dataset.judge, prepared, params)
    else:
        use_trained(name, dataset.judge, prepared, params)


def use_published(name: str, config: Extractor, prepared: Prepared, params: Params) -> None:
    """Its folder, from fetched weights."""
    judge = PretrainedJudge(config, prepared.spec)
    judge.network.load_published(read_weights(config.extractor))
    with folder_atomic(Path("judges") / name) as target:
        graph = ship(judge.graph(), target, prepared, params.export)
        measure_real(graph, prepared, target, params.seed)
        write_json(target / ABOUT, {"protocol": judge.protocol})
    print(f"{name}: {config.extractor} is the judge", flush=True)


def use_trained(name: str, config: JudgeParams, prepared: Prepared, params: Params) -> None:
    """Its folder, by training on the training split.

    Raises:
        JudgeError: its accuracy is too low.
    """
    folder = home(f"judge-{name}", identity(config, prepared, params.seed))
    with exclusive(folder):
        trained = train_judge(name, config, prepared, params.seed, folder / "checkpoint.safetensors")
    (graph,) = trained.cpu().eval().graphs()
    with folder_atomic(Path("judges") / name) as target:
        found = measure_real(ship(graph, target, prepared, params.export), prepared, target, params.seed)
        accuracy = float((found[key("test", "image", "labels")] == prepared.split("test").labels).mean())
        if accuracy < config.accuracy:
            raise JudgeError(
                f"datasets.{name}.judge.accuracy: {accuracy:.4f} on the test split, needs "
                f"{config.accuracy}; raise datasets.{name}.judge.training.steps"
            )
        write_json(target / ABOUT, {"protocol": {"extractor": JUDGE}, "accuracy": accuracy})
    forget_others(f"judge-{name}", folder)
    print(f"{name}: the judge is right on {accuracy:.2%} of the test split", flush=True)


def identity(config: JudgeParams, prepared: Prepared, seed: int) -> str:
    """SHA-256 of what a judge's training starts from, its code too, so that it resumes nothing else."""
    code = digest(closure(Path("pipelines/judge.py")))
    chosen = config.model_dump_json(exclude={"accuracy"})
    return sha256(f"{chosen}{prepared.about['fingerprint']}{seed}{code}".encode())


def train_judge(name: str, config: JudgeParams, prepared: Prepared, seed: int, checkpoint: Path) -> Learner:
    """On the training split, by the one loop."""
    torch.manual_seed(seed)  # the weights' start
    return train(
        Judge(config.channels, config.features, prepared.spec),
        Batches(prepared.split("train"), config.training.batch_size, seed),
        config.training,
        Runtime.best(config.training.precision),
        seed=seed,
        checkpoint=checkpoint,
        observer=Quiet(),
        title=f"judge of {name}",
    )


def ship(graph: Graph, folder: Path, prepared: Prepared, export: Export) -> ShippedGraph:
    """Through the same exporter and gate as every model."""
    path = folder / f"{graph.name}.onnx"
    about = {"dataset": prepared.about["name"], "fingerprint": prepared.about["fingerprint"]}
    onnx.write(graph, path, about, export.opset)
    gate.check(graph, path, export.gate)
    return Artifact.load(path).graph(graph.name)


def measure_real(graph: ShippedGraph, prepared: Prepared, folder: Path, seed: int) -> dict[str, Any]:
    """Write, and return, what the judge sees in all images of the test split and in as many training images."""
    found: dict[str, Any] = {}
    splits = {name: prepared.split(name).arrays for name in ("test", "train")}
    for images in IMAGE_KEYS[prepared.layout]:
        test, train_split = splits["test"][images], splits["train"][images]
        chosen = np.sort(np.random.default_rng(seed).permutation(len(train_split))[: len(test)])
        for split, real in (("test", test), ("train", train_split[chosen])):
            features, labels = look(graph, real)
            found[key(split, images, "features")] = features
            if labels is not None:
                found[key(split, images, "labels")] = labels
    np.savez(folder / REFERENCE, **found)
    return found
