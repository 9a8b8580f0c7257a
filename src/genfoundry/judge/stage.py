"""The judge stage: a classifier trained on a data set, and what it sees in the real images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from genfoundry.closure import closure, digest
from genfoundry.contract import Learner
from genfoundry.data.batches import Batches, Prepared
from genfoundry.export import gate, onnx
from genfoundry.files import folder_atomic, sha256, sha256_file, write_json
from genfoundry.journal import forget_others, home
from genfoundry.judge.model import Judge
from genfoundry.judge.reference import FILE, REFERENCE
from genfoundry.params import Export, load_dataset
from genfoundry.params import Judge as JudgeParams
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.training.guard import exclusive
from genfoundry.training.loop import train
from genfoundry.training.runtime import Runtime


class JudgeError(RuntimeError):
    """The judge classifies too badly to measure with."""


class Quiet:
    """The judge's training shows its progress bar alone."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to keep."""

    def samples(self, step: int, model: Learner) -> None:
        """Nothing to draw."""


def judge_dataset(name: str) -> None:
    """Train the judge of `name`, export it, and measure the real data once for all.

    Raises:
        JudgeError: its accuracy on the test split is under the data set's `judge.accuracy`.
    """
    params, dataset = load_dataset(name)
    if dataset.judge is None:
        raise JudgeError(f"datasets.{name}.judge: there is none to train")
    prepared = Prepared(Path("data/prepared") / name)
    folder = home(f"judge-{name}", identity(dataset.judge, prepared, params.seed))
    with exclusive(folder):
        trained = train_judge(name, dataset.judge, prepared, params.seed, folder / "checkpoint.safetensors")
    with folder_atomic(Path("judges") / name) as target:
        ship(trained, target / FILE, prepared, params.export)
        accuracy = measure_real(prepared, target, params.seed)
        if accuracy < dataset.judge.accuracy:
            raise JudgeError(
                f"datasets.{name}.judge.accuracy: {accuracy:.4f} on the test split, needs "
                f"{dataset.judge.accuracy}; raise datasets.{name}.judge.training.steps"
            )
        write_json(target / "judge.json", {"accuracy": accuracy, "sha256": sha256_file(target / FILE)})
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


def ship(judge: Learner, path: Path, prepared: Prepared, export: Export) -> None:
    """Through the same exporter and gate as every model."""
    (graph,) = judge.cpu().eval().graphs()
    about = {"dataset": prepared.about["name"], "fingerprint": prepared.about["fingerprint"]}
    onnx.write(graph, path, about, export.opset)
    gate.check(graph, path, export.gate)


def measure_real(prepared: Prepared, folder: Path, seed: int) -> float:
    """Write features and labels of the test split and of as many training images; return the test accuracy."""
    classify = Artifact.load(folder / FILE).graph("classify")
    test, train_split = prepared.split("test"), prepared.split("train")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train_split))[: len(test)])
    real = {"test": test.images, "train": train_split.images[chosen]}
    answers = {split: classify(image=from_bytes(images)) for split, images in real.items()}
    labels = {split: answer["logits"].argmax(axis=1) for split, answer in answers.items()}
    np.savez(
        folder / REFERENCE,
        **{f"{split}_features": answer["features"] for split, answer in answers.items()},
        **{f"{split}_labels": found for split, found in labels.items()},
    )
    return float((labels["test"] == test.labels).mean())
