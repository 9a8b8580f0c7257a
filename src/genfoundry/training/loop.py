"""The one training loop. It knows phases, not families."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genfoundry.contract import Batch, Learner, Phase
from genfoundry.data.supply import Supply
from genfoundry.params import Optimizer, Training
from genfoundry.progress import progress
from genfoundry.training.checkpoint import good, load_checkpoint, save_checkpoint
from genfoundry.training.runtime import Runtime, seed_step

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}

#: The multiplier of the learning rate at progress t in [0, 1).
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "linear": lambda t: 1.0 - t,
    "cosine": lambda t: 0.5 * (1.0 + math.cos(math.pi * t)),
}


class TrainingDiverged(RuntimeError):
    """A loss or a watched quantity is no longer finite."""


class Observer(Protocol):
    """What the loop tells while it runs. The answer decides what is kept, never how training goes on."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None: ...  # noqa: D102

    def samples(self, step: int, model: Learner) -> bool:
        """Look at what would ship; whether its samples are found good, and this state is one to go back to."""
        ...


class Quiet:
    """An observer of trainings that show their progress bar alone."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to keep."""

    def samples(self, step: int, model: Learner) -> bool:
        """Nothing to draw, and no state to go back to."""
        return False


def train(
    model: Learner,
    supply: Supply,
    config: Training,
    runtime: Runtime,
    *,
    seed: int,
    checkpoint: Path,
    observer: Observer,
    title: str,
) -> Learner:
    """Train to `config.steps`, from `checkpoint` where one was left, and return what ships: the EMA where used.

    Raises:
        TrainingDiverged: naming phase, term and step.
    """
    runtime.place(model)
    model.train()
    phases = model.phases()
    optimizers = build_optimizers(phases, config)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema)) if config.ema is not None else None
    shipped = model if ema is None else cast(Learner, ema.module)
    modules: dict[str, nn.Module] = {"model": model} if ema is None else {"model": model, "ema": ema}
    done = load_checkpoint(checkpoint, modules, optimizers)
    window = Window()
    bar = progress(range(done, config.steps), title, total=config.steps, done=done)
    for step in bar:
        seed_step(seed, step)
        batch = runtime.batch(supply.at(step))
        for phase in phases:
            if phase.runs_at(step):
                window.add(step, update(phase, model, optimizers[phase.optimizer], batch, step, config, runtime))
        if ema is not None:
            ema.update_parameters(model)
        done = step + 1
        if done % config.log_every == 0 or done == config.steps:
            means = window.flush()
            observer.metrics(done, means)
            bar.set_postfix({key: f"{value:.3g}" for key, value in means.items()}, refresh=False)
        if (done % config.sample_every == 0 or done == config.steps) and observer.samples(done, shipped):
            save_checkpoint(good(checkpoint), done, modules, optimizers)
        if done % config.checkpoint_every == 0 or done == config.steps:
            save_checkpoint(checkpoint, done, modules, optimizers)
    return shipped


def update(
    phase: Phase,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    step: int,
    config: Training,
    runtime: Runtime,
) -> dict[str, Tensor]:
    """One optimizer update; returns the terms, what is watched, and the gradient's norm, still on the device."""
    freeze_all_but(phase.trains, model)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config.optimizers[phase.optimizer], step, config.steps)
    optimizer.zero_grad(set_to_none=True)
    with runtime.autocast():
        loss = phase.loss(batch)
    loss.total.backward()
    grad_norm = limit_gradients(phase.trains, config.grad_clip)
    optimizer.step()
    norm = "lazy_grad_norm" if phase.regularises else "grad_norm"
    scalars = {**loss.terms, **loss.watched, norm: grad_norm}
    return {f"{phase.optimizer}/{key}": value.detach() for key, value in scalars.items()}


def limit_gradients(module: nn.Module, limit: float | None) -> Tensor:
    """Scale the gradients to a norm of at most `limit`, if any; return the norm they had."""
    if limit is None:
        return nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
    return nn.utils.clip_grad_norm_(module.parameters(), limit)


def freeze_all_but(trained: nn.Module, model: nn.Module) -> None:
    """Only `trained` collects gradients."""
    moving = {id(parameter) for parameter in trained.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in moving)


def build_optimizers(phases: Iterable[Phase], config: Training) -> dict[str, torch.optim.Optimizer]:
    """One for each name that phases use, over the parameters of all phases that share it."""
    parameters: dict[str, dict[int, nn.Parameter]] = defaultdict(dict)
    for phase in phases:
        parameters[phase.optimizer] |= {id(p): p for p in phase.trains.parameters()}
    return {name: build_optimizer(list(ps.values()), config.optimizers[name]) for name, ps in parameters.items()}


def build_optimizer(parameters: list[nn.Parameter], config: Optimizer) -> torch.optim.Optimizer:
    """torch's own, each one pass over all parameters; `betas[0]` is SGD's momentum."""
    momentum = {"momentum": config.betas[0]} if config.name == "sgd" else {"betas": config.betas}
    return OPTIMIZERS[config.name](
        parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True, **momentum
    )


def learning_rate(config: Optimizer, step: int, steps: int) -> float:
    """Linear warm-up times the schedule."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * warm * SCHEDULES[config.schedule](step / steps)


class Window:
    """Scalars of each step since the last flush, kept on their device: one transfer an interval."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)

    def add(self, step: int, scalars: Mapping[str, Tensor]) -> None:
        """Remember the scalars of `step`."""
        for key, value in scalars.items():
            self._values[key].append((step, value))

    def flush(self) -> dict[str, float]:
        """The means, after a look at every value.

        Raises:
            TrainingDiverged: the first step at which one is NaN or infinite.
        """
        means, broken = {}, []
        for key, entries in self._values.items():
            values = torch.stack([value for _, value in entries]).float().cpu()
            bad = (~values.isfinite()).nonzero()
            broken += [(entries[int(i)][0], key, float(values[i])) for i in bad[:1]]
            means[key] = float(values.double().mean())
        self._values.clear()
        if broken:
            step, key, value = min(broken, key=lambda found: found[0])  # of one step, the terms come first
            phase, _, term = key.partition("/")
            raise TrainingDiverged(
                f"phase {phase!r}, term {term!r}, step {step}: {value}. Nothing of it was saved; lower "
                f"training.optimizers.{phase}.lr or set training.grad_clip, and run again"
            )
        return means
