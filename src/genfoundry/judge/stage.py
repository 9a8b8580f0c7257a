"""The judge stage: what measures a data set's samples, a classifier trained on it or a published network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from genfoundry.closure import closure, digest
from genfoundry.contract import Graph, Learner
from genfoundry.data.batches import Batches, Prepared
from genfoundry.export import gate, onnx
from genfoundry.files import folder_atomic, sha256, write_json
from genfoundry.journal import forget_others, home
from genfoundry.judge.extractor import ABOUT, Extractor
from genfoundry.judge.model import Judge
from genfoundry.judge.published import export_published
from genfoundry.judge.reference import JUDGES, PUBLISHED
from genfoundry.metrics import JUDGE
from genfoundry.params import Export, Params, PublishedJudge, load, load_dataset
from genfoundry.params import Judge as JudgeParams
from genfoundry.training.guard import exclusive
from genfoundry.training.loop import Quiet, train
from genfoundry.training.runtime import Runtime


class JudgeError(RuntimeError):
    """The judge classifies too badly to measure with."""


def judge_dataset(name: str) -> None:
    """Train the judge of `name` or load the published one, and export it.

    Raises:
        JudgeError: a trained one's accuracy on the test split is under the data set's `judge.accuracy`.
        DataError: the weights of a published one were not fetched.
    """
    params, dataset = load_dataset(name)
    if isinstance(dataset.judge, PublishedJudge):
        with folder_atomic(JUDGES / name) as target:
            export_published(dataset.judge.extractor, dataset.judge.size, target, params.export)
        print(f"{name}: {dataset.judge.extractor} is the judge", flush=True)
    else:
        use_trained(name, dataset.judge, Prepared(Path("data/prepared") / name), params)


def ship_extractor(name: str) -> None:
    """`extractors/<name>/`, a published network that sees images beside the judges.

    Raises:
        DataError: its weights were not fetched.
    """
    with folder_atomic(PUBLISHED / name) as target:
        export_published(name, None, target, load().export)


def use_trained(name: str, config: JudgeParams, prepared: Prepared, params: Params) -> None:
    """Its folder, by training on the training split.

    Raises:
        JudgeError: its accuracy is too low.
    """
    folder = home(f"judge-{name}", identity(config, prepared, params.seed))
    with exclusive(folder):
        trained = train_judge(name, config, prepared, params.seed, folder / "checkpoint.safetensors")
    (graph,) = trained.cpu().eval().graphs()
    with folder_atomic(JUDGES / name) as target:
        ship(graph, target, prepared, params.export)
        about = {"protocol": {"extractor": JUDGE}, "resize": None}
        write_json(target / ABOUT, about)
        test = prepared.split("test")
        accuracy = float((Extractor(target).look(np.asarray(test.images)).labels == test.labels).mean())
        if accuracy < config.accuracy:
            raise JudgeError(
                f"datasets.{name}.judge.accuracy: {accuracy:.4f} on the test split, needs "
                f"{config.accuracy}; raise datasets.{name}.judge.training.steps"
            )
        write_json(target / ABOUT, {**about, "accuracy": accuracy})
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


def ship(graph: Graph, folder: Path, prepared: Prepared, export: Export) -> None:
    """Through the same exporter and gate as every model."""
    path = folder / f"{graph.name}.onnx"
    about = {"dataset": prepared.about["name"], "fingerprint": prepared.about["fingerprint"]}
    onnx.write(graph, path, about, export.opset)
    gate.check(graph, path, export.gate)
