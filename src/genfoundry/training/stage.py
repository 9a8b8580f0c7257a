"""The train stage: params.yaml and a prepared data set → weights, their record, the history."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from genfoundry.closure import family_sources
from genfoundry.contract import Learner
from genfoundry.data.batches import Batches, Prepared
from genfoundry.files import folder_atomic, sha256, write_atomic, write_json
from genfoundry.journal import CHECKPOINTS, SYSTEM, Journal, history_csv, home, recording
from genfoundry.models import build
from genfoundry.params import Params, Run, flatten, load_run
from genfoundry.training.guard import die_with_parent, exclusive
from genfoundry.training.loop import train
from genfoundry.training.preview import Preview
from genfoundry.training.runtime import Runtime
from genfoundry.training.weights import save_weights


def record(params: Params, run: Run, prepared: Prepared) -> dict[str, Any]:
    """What determines a trained run, and `identity`, the SHA-256 of just that."""
    inputs = {
        "seed": params.seed,
        **run.model_dump(mode="json"),
        "fingerprint": prepared.about["fingerprint"],
        "sources": family_sources(run.family),
    }
    return {**inputs, "identity": sha256(repr(sorted(flatten(inputs))).encode())}


class InputsChanged(RuntimeError):
    """Code or params.yaml changed while a run trained, so its result belongs to neither version."""


@dataclass
class ToJournal:
    """Writes what the loop tells into the journal."""

    journal: Journal
    preview: Preview

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Losses and watched quantities, and how busy the machine is."""
        memory = psutil.virtual_memory()
        load = {
            f"{SYSTEM}cpu_utilization_percentage": psutil.cpu_percent(),
            f"{SYSTEM}system_memory_usage_megabytes": round(memory.used / 1e6, 1),
        }
        self.journal.metrics(step, {**values, **load})

    def samples(self, step: int, model: Learner) -> None:
        """A grid for each graph that shows something."""
        for name, picture in self.preview.draw(model).items():
            self.journal.image(f"samples/{name}", step, picture)


def train_run(name: str) -> None:
    """Train the run called `name`, from where an earlier try stopped, and write its outputs.

    Raises:
        InputsChanged: run again to train what is there now.
    """
    die_with_parent()
    params, run = load_run(name)
    prepared = Prepared(Path("data/prepared") / run.data.dataset)
    about = record(params, run, prepared)
    folder = home(name, about["identity"])
    runtime = Runtime.best(run.training.precision)
    torch.manual_seed(params.seed)  # the weights' start
    model = build(run.family, run.model, prepared.spec, f"runs.{name}.model")
    with (
        exclusive(folder),
        recording(
            name,
            "train",
            experiment=run.data.dataset,
            identity=about["identity"],
            tracking=params.tracking,
            resume=True,
        ) as journal,
    ):
        journal.tags({"family": run.family, "dataset": run.data.dataset})
        journal.params(dict(flatten({k: v for k, v in about.items() if k not in ("identity", "sources")})))
        shipped = train(
            model,
            Batches(prepared.split("train"), run.training.batch_size, params.seed),
            run.training,
            runtime,
            seed=params.seed,
            checkpoint=folder / "checkpoint.safetensors",
            observer=ToJournal(
                journal,
                Preview(prepared.split("test").images, run.training.pictures, runtime, params.seed),
            ),
            title=name,
        )
        if record(*load_run(name), prepared) != about:
            raise InputsChanged(
                f"{name}: code or params.yaml changed in mid-training; run again to train what is there"
            )
        _write(name, shipped, {"run": name, **about}, journal)
    _forget_others(name, folder)


def _write(name: str, model: Learner, about: Mapping[str, Any], journal: Journal) -> None:
    with folder_atomic(Path("models") / name) as target:
        save_weights(target / "weights.safetensors", model)
        write_json(target / "run.json", about)
    write_atomic(Path("history") / f"{name}.csv", history_csv(journal.path))


def _forget_others(name: str, current: Path) -> None:
    """Checkpoints of the same run with other inputs will never be resumed."""
    for folder in CHECKPOINTS.glob(f"{name}-{'[0-9a-f]' * 16}"):
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)
