"""The contract of a model family: how it learns (`phases`) and what it ships (`graphs`).

The loop reads phases, the exporter reads graphs, and neither knows a family's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from genfoundry.params import Strict
from genfoundry.spec import VOCABULARY, DataSpec, TensorSpec

__all__ = [
    "Batch",
    "DataSpec",
    "GenerativeModel",
    "Graph",
    "Learner",
    "Loss",
    "Phase",
    "Published",
    "Scan",
    "TensorSpec",
]

#: Images (N, C, H, W) float32 in [0, 1], labels (N,) int64; the keys are what `data/supply.py` gives a run.
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """Weighted terms, whose sum is minimised, and quantities that are only watched. All are scalars."""

    terms: dict[str, Tensor]
    watched: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in {**self.terms, **self.watched}.items():
            if value.dim():
                raise ValueError(
                    f"{name!r} of a loss must be a scalar, has shape {tuple(value.shape)}: take its mean"
                )

    @property
    def total(self) -> Tensor:
        """The sum of the terms, a scalar."""
        first, *rest = self.terms.values()
        for term in rest:
            first = first + term
        return first


@dataclass(frozen=True)
class Phase:
    """One optimizer update: what moves, and the loss that moves it."""

    optimizer: str  # key in the run's training.optimizers, and in metric names
    trains: nn.Module  # everything else is frozen while it runs
    loss: Callable[[Batch], Loss]
    every: int = 1  # steps; a regularisation may be lazy (Karras 2020, appendix B)
    regularises: bool = False  # what another phase trains; its gradients have a curve of their own
    start: int = 0
    stop: int | None = None

    def runs_at(self, step: int) -> bool:
        """Whether this phase is part of `step`, counted from 0."""
        return self.start <= step and (self.stop is None or step < self.stop) and step % self.every == 0


def lazily(phase: Phase, weight: float, every: int) -> tuple[Phase, ...]:
    """`phase` as a regularisation every so many steps, as much stronger as it is rarer; none without a weight.

    Karras et al. 2020, section 3.1.
    """

    def loss(batch: Batch) -> Loss:
        found = phase.loss(batch)
        return Loss({term: weight * every * value for term, value in found.terms.items()}, found.watched)

    return (replace(phase, loss=loss, every=every, regularises=True),) if weight else ()


@dataclass(frozen=True)
class Graph:
    """One function that ships: tensors in, tensors out, no randomness inside."""

    name: str
    module: nn.Module
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]

    def __post_init__(self) -> None:
        if self.name not in VOCABULARY:
            raise ValueError(f"graph {self.name!r} is not one of {', '.join(VOCABULARY)}")

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the dynamic axes of its inputs."""
        return tuple(dict.fromkeys(axis for spec in self.inputs.values() for axis in spec.axes))


class Scan(nn.Module):
    """A step done over and over: state ← step(state, *row, *constants) for each row, then `after(state)`.

    The exporter writes the step once, as the body of ONNX's Scan: a sampler of many steps is one file with one
    copy of its weights. The first input is the state; the others are constants, the same at each step.

    Args:
        step: takes the state, one scalar of each of `rows`, and the constants.
        rows: name → (steps,) what differs from step to step, in the order that `step` takes it.
        after: the last state → the output.
    """

    def __init__(self, step: nn.Module, rows: Mapping[str, Tensor], after: nn.Module) -> None:
        super().__init__()
        self.step, self.rows, self.after = step, dict(rows), after

    def forward(self, state: Tensor, *constants: Tensor) -> Tensor:
        """The loop as torch runs it."""
        for row in zip(*self.rows.values(), strict=True):
            state = self.step(state, *row, *constants)
        return self.after(state)


class Learner(nn.Module, ABC):
    """Whatever the training loop can train: it says how it learns and which functions it offers."""

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The updates of one step, in order."""

    @abstractmethod
    def graphs(self) -> tuple[Graph, ...]:
        """The functions that ship, built from this module's own parts."""


class Published(Protocol):
    """A network that takes published weights; `networks/` has them."""

    @property
    def smallest(self) -> int:
        """Pixels of a side of the images that it can see."""

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """In place, by their published names. Raises DataError where they are of another network."""


class GenerativeModel(Learner):
    """A model family. The one subclass in `models/<family>.py` is found by that file's name."""

    Params: ClassVar[type[Strict]]
    needs: frozenset[str] = frozenset({"image"})  # keys of a batch that its losses read

    @abstractmethod
    def __init__(self, params: Any, data: DataSpec) -> None:
        super().__init__()

    def published(self) -> Published | None:
        """The part, if any, that gets the weights which the run names, before training; the losses alone use it."""
        return None
