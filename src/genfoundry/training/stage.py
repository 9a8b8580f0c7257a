"""The train stage: params.yaml and a prepared data set → weights, their record, the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from genfoundry.closure import family_sources
from genfoundry.contract import DataSpec, GenerativeModel, Learner
from genfoundry.data import DataError
from genfoundry.data.batches import Prepared, Split
from genfoundry.data.pretrained import read_weights
from genfoundry.data.supply import learnt_from, read_by, seen, supply
from genfoundry.files import folder_atomic, sha256, write_atomic, write_json
from genfoundry.journal import SYSTEM, Journal, forget_others, history_csv, home, recording
from genfoundry.models import build
from genfoundry.params import NO_WEIGHTS, Params, ParamsError, Run, flatten, load_run
from genfoundry.pictures import grid, png
from genfoundry.spec import VOCABULARY
from genfoundry.training.checkpoint import good, load_shipped, step_of
from genfoundry.training.guard import exclusive
from genfoundry.training.health import Health
from genfoundry.training.loop import train
from genfoundry.training.preview import Preview
from genfoundry.training.runtime import Runtime
from genfoundry.training.snapshots import Snapshots
from genfoundry.training.weights import save_weights


def record(params: Params, run: Run, prepared: Prepared) -> dict[str, Any]:
    """What determines a trained run, and `identity`, the SHA-256 of just that."""
    inputs = {
        "seed": params.seed,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "device": Runtime.best(run.training.precision).device.type,
        **run.trained_on,
        "fingerprint": prepared.about["fingerprint"],
        "published": params.weights[run.weights].sha256 if run.weights != NO_WEIGHTS else None,
        "sources": family_sources(run.family),
    }
    return {**inputs, "identity": sha256(repr(sorted(flatten(inputs))).encode())}


class InputsChanged(RuntimeError):
    """Code or params.yaml changed while a run trained, so its result belongs to neither version."""


@dataclass
class ToJournal:
    """Writes what the loop tells into the journal, and keeps samples as they come."""

    journal: Journal
    preview: Preview
    snapshots: Snapshots
    health: Health

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Losses and watched quantities, and how busy the machine is."""
        memory = psutil.virtual_memory()
        load = {
            f"{SYSTEM}cpu_utilization_percentage": psutil.cpu_percent(),
            f"{SYSTEM}system_memory_usage_megabytes": round(memory.used / 1e6, 1),
        }
        self.journal.metrics(step, {**values, **load})

    def samples(self, step: int, model: Learner) -> bool:
        """A grid for each graph that shows something; whether the samples that stand alone are good."""
        verdicts = []
        for name, images in self.preview.draw(model).items():
            self.journal.image(f"samples/{name}", step, png(grid(images)))
            if VOCABULARY[name].shows == "samples":
                self.snapshots.keep(name, step, images)
                verdicts.append(self.health.check(name, step, images))
        return bool(verdicts) and all(verdicts)


def train_run(name: str) -> None:
    """Train the run called `name`, from where an earlier try stopped, and write its outputs.

    Raises:
        InputsChanged: run again to train what is there now.
    """
    params, run = load_run(name)
    prepared = Prepared(Path("data/prepared") / run.data.dataset)
    about = record(params, run, prepared)
    folder = home(name, about["identity"])
    labels = {"experiment": run.data.dataset, "identity": about["identity"]}
    with exclusive(folder), recording(name, "train", **labels, tracking=params.tracking, resume=True) as journal:
        journal.tags({"family": run.family, "dataset": run.data.dataset, "fingerprint": about["fingerprint"]})
        journal.params(chosen(params, run))
        shipped, step = fit(name, params, run, prepared, folder, journal)
        if record(*load_run(name), prepared) != about:
            raise InputsChanged(
                f"{name}: code or params.yaml changed in mid-training; run again to train what is there"
            )
        _write(name, shipped, {"run": name, **about, "step": step}, journal)
        Snapshots(folder / "snapshots").collect(Path("snapshots") / f"{name}.npz")
    forget_others(name, folder)


def chosen(params: Params, run: Run) -> dict[str, Any]:
    """What params.yaml says of a run; its defaults too are in run.json, which is logged as a file."""
    said = run.model_dump(mode="json", exclude_defaults=True, exclude={"evaluation"})
    return {"seed": params.seed, **dict(flatten(said))}


def fit(
    name: str, params: Params, run: Run, prepared: Prepared, folder: Path, journal: Journal
) -> tuple[Learner, int]:
    """Fresh weights or an earlier try's, through the loop; what ships, and of which step it is.

    That is the last state whose samples were good; the last of all where none were, or where no graph gives any.
    """
    runtime = Runtime.best(run.training.precision)
    torch.manual_seed(params.seed)  # the weights' start
    model = build(run.family, run.model, seen(prepared.spec, run.data), f"runs.{name}.model")
    give_weights(model, run.weights, f"runs.{name}.weights")
    config, checkpoint = run.training, folder / "checkpoint.safetensors"
    begun = max(phase.start for phase in model.phases())
    observer = ToJournal(
        journal,
        Preview(shown(prepared.split("test"), prepared.spec, run, params.seed), runtime, params.seed),
        Snapshots(folder / "snapshots"),
        Health(name, alike(prepared, run, params.seed), config, begun, good(checkpoint), journal),
    )
    data = read_by(run.data, model.needs)
    shipped = train(
        model,
        supply(prepared.split("train"), prepared.spec, data, config.batch_size, params.seed),
        config,
        runtime,
        seed=params.seed,
        checkpoint=checkpoint,
        observer=observer,
        title=name,
    )
    if good(checkpoint).exists():
        load_shipped(good(checkpoint), shipped)
    return shipped, step_of(good(checkpoint)) or config.steps


def shown(split: Split, spec: DataSpec, run: Run, seed: int) -> Mapping[str, np.ndarray]:
    """Images of a split for pictures, all that it has: seen as the run sees its own, but whole and unmirrored."""
    everything = {"classes": None, "labels": None, "flip": False, "patch": None}
    data = run.data.model_copy(update=everything)
    return supply(split, spec, data, min(run.training.pictures, len(split)), seed).at(0)


def alike(prepared: Prepared, run: Run, seed: int) -> np.ndarray:
    """(N, C, H, W) uint8 of those that the run learns from: no held-out image has a say in what ships."""
    learnt = learnt_from(prepared.split("train"), prepared.spec, run.data, seed)
    return next(iter(shown(learnt, prepared.spec, run, seed).values()))


def give_weights(model: GenerativeModel, weights: str, path: str) -> None:
    """Published weights for the part of the model, if any, that its losses use as it is.

    Raises:
        ParamsError: they were not fetched or do not fit; the line begins with `path`.
    """
    part = model.published()
    try:
        if part is not None:
            part.load_published(read_weights(weights))
    except DataError as error:
        raise ParamsError(f"{path}: {error}") from None


def _write(name: str, model: Learner, about: Mapping[str, Any], journal: Journal) -> None:
    with folder_atomic(Path("models") / name) as target:
        save_weights(target / "weights.safetensors", model)
        write_json(target / "run.json", about)
    journal.file(Path("models") / name / "run.json", "run")
    write_atomic(Path("history") / f"{name}.csv", history_csv(journal.path))
