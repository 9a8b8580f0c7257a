"""The judge stage: a classifier trained on a data set, and what it sees in the real images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, Graph, Learner, Loss, Phase, TensorSpec
from genfoundry.data.batches import Batches, Prepared
from genfoundry.export import gate, onnx
from genfoundry.files import folder_atomic, sha256, sha256_file, write_json
from genfoundry.journal import home
from genfoundry.judge.reference import FILE, REFERENCE
from genfoundry.params import Export, load_dataset
from genfoundry.params import Judge as JudgeParams
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.training.guard import die_with_parent, exclusive
from genfoundry.training.loop import train
from genfoundry.training.runtime import Runtime


class JudgeError(RuntimeError):
    """The judge classifies too badly to measure with."""


class Judge(Learner):
    """A small convolutional classifier; its features are the activations before the last layer."""

    def __init__(self, channels: int, features: int, data: DataSpec) -> None:
        super().__init__()
        self.data = data
        depth, height, width = data.shape
        self.body = nn.Sequential(
            *_block(depth, channels),
            nn.MaxPool2d(2),
            *_block(channels, 2 * channels),
            *_block(2 * channels, 2 * channels),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (height // 4) * (width // 4), features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, len(data.classes))
        self.features = features

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) in [0, 1] → logits (N, classes), features (N, features)."""
        features = self.body(image)
        return self.head(features), features

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("judge", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy in nats."""
        logits, _ = self(batch["image"])
        accuracy = (logits.argmax(dim=1) == batch["label"]).float().mean()
        return Loss({"cross_entropy": F.cross_entropy(logits, batch["label"])}, {"accuracy": accuracy})

    def graphs(self) -> tuple[Graph, ...]:
        """`classify`, with the features beside the logits."""
        logits = TensorSpec(("batch", len(self.data.classes)), "value")
        features = TensorSpec(("batch", self.features), "value")
        return (Graph("classify", self, {"image": self.data.image}, {"logits": logits, "features": features}),)


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
    die_with_parent()
    params, dataset = load_dataset(name)
    prepared = Prepared(Path("data/prepared") / name)
    folder = home(f"judge-{name}", identity(dataset.judge, prepared, params.seed))
    with exclusive(folder), folder_atomic(Path("judges") / name) as target:
        checkpoint = folder / "checkpoint.safetensors"
        trained = train_judge(name, dataset.judge, prepared, params.seed, checkpoint)
        ship(trained, target / FILE, prepared, params.export)
        accuracy = measure_real(prepared, target, params.seed)
        if accuracy < dataset.judge.accuracy:
            raise JudgeError(
                f"datasets.{name}.judge.accuracy: {accuracy:.4f} on the test split, needs "
                f"{dataset.judge.accuracy}; raise datasets.{name}.judge.training.steps"
            )
        write_json(target / "judge.json", {"accuracy": accuracy, "sha256": sha256_file(target / FILE)})
        print(f"{name}: the judge is right on {accuracy:.2%} of the test split", flush=True)


def identity(config: JudgeParams, prepared: Prepared, seed: int) -> str:
    """SHA-256 of what a judge's training starts from, so that it resumes nothing else."""
    return sha256(f"{config.model_dump_json()}{prepared.about['fingerprint']}{seed}".encode())


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


def _block(fan_in: int, fan_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(fan_out), nn.ReLU()
