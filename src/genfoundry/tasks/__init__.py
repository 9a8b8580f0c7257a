"""What a run's exported graphs are asked to do. One file a task: it gathers evidence and names the metrics of it.

A new task is a file with a `TASK` and its place in `TASKS` of `tasks/stage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from genfoundry.data.batches import Prepared, Split
from genfoundry.data.supply import learnt_from, with_labels
from genfoundry.judge.reference import Reference
from genfoundry.metrics import Metric, Paired
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.metrics.lpips import LpipsDistance
from genfoundry.params import Data, Evaluation, validate
from genfoundry.runtime.artifact import Artifact, ShippedGraph

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """All that evidence is gathered from."""

    artifact: Artifact
    prepared: Prepared
    reference: Reference
    config: Evaluation
    seed: int
    others: tuple[Reference, ...] = ()  # published networks that see samples too
    rival: Artifact | None = None  # the run to beat, where params.yaml names one
    perceptual: LpipsDistance | None = None  # between images, where params.yaml names its weights
    snapshots: Mapping[str, Mapping[int, np.ndarray]] = field(default_factory=dict)  # of training: graph, step
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def data(self) -> Data:
        """How the run saw its data."""
        return validate(Data, self.artifact.about["data"])

    @cached_property
    def learnt(self) -> Split:
        """The training images that the run saw."""
        return learnt_from(self.prepared.split("train"), self.prepared.spec, self.data, self.seed)

    @cached_property
    def labelled(self) -> Split:
        """The training images whose labels the run may have seen."""
        return with_labels(self.prepared.split("train"), self.prepared.spec, self.data, self.seed)

    def of(self, artifact: Artifact) -> Setting:
        """The same for other files of the run: what was made once, and no artifact had a part in, is theirs too."""
        return replace(self, artifact=artifact)

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, at the first asking: it must not depend on the run's own files."""
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def pca(self, components: int) -> PcaBaseline:
        """Of the images that the run saw; fitted once for all tasks that compare with it."""
        return self.once(("pca", components), lambda: PcaBaseline(self.learnt.images, components))

    def looked(self, images: Mapping[str, np.ndarray], key: str = "image") -> tuple[View, ...]:
        """Samples by role, (N, C, H, W) uint8: as the judge sees them, then as published networks see some."""
        counts = [len(images["value"]), *(self.config.extracted for _ in self.others)]
        return tuple(
            look(reference, {role: batch[:count] for role, batch in images.items()}, key)
            for reference, count in zip((self.reference, *self.others), counts, strict=True)
        )

    def paired(self, target: np.ndarray, output: np.ndarray) -> Paired:
        """Evidence on images and what they should be, with perceptual distances where the run asks for them."""
        return Paired(target, output, self.perceptual(target, output) if self.perceptual else None)

    @cached_property
    def latent_width(self) -> int:
        """Numbers that `encode` makes of an image; a linear code is given as many."""
        return int(self.artifact.graph("encode").outputs["latent"].shape[1])


def learns_all(setting: Setting) -> bool:
    """Whether the run has seen every class: one that has not is asked about anomalies."""
    return setting.data.classes is None


def noise_width(graph: ShippedGraph) -> int:
    """Numbers of noise in an image: what is fitted without learning is given as many."""
    noise = next(spec for spec in graph.inputs.values() if spec.kind == "normal")
    return math.prod(size for size in noise.shape if isinstance(size, int))


@dataclass(frozen=True)
class View:
    """The evidence of one extractor, and what a score on it says of itself."""

    roles: Mapping[str, Any]
    protocol: Mapping[str, Any]


def look(reference: Reference, images: Mapping[str, np.ndarray], key: str) -> View:
    """By role, beside as many real training images, or all there are: the floor."""
    roles = {role: reference.see(batch, key) for role, batch in images.items()}
    floor = reference.floor(len(roles["value"].samples), key)
    counts = {"n": len(roles["value"].samples), "n_real": len(floor.real), "n_floor": len(floor.samples)}
    return View({**roles, "floor": floor}, {**counts, **reference.protocol})


@dataclass(frozen=True)
class Picture:
    """What a reader should see: (N, C, H, W) uint8 in rows of `columns`, or in a square grid."""

    images: np.ndarray
    caption: str
    columns: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows below a header, for `plots/<run>/<name>.csv`."""

    header: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Finding:
    """The evidence of one task, what it is compared with, and what a reader should see of it.

    A task that is only to be seen has pictures and no roles.
    """

    roles: Mapping[str, Any] = field(default_factory=dict)  # "value", "baseline", perhaps "floor" → evidence
    baseline: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    views: tuple[View, ...] = ()  # the same by other extractors, which have boards of their own

    @property
    def all_views(self) -> tuple[View, ...]:
        """The one that leads first; none where nothing is scored."""
        return (View(self.roles, self.protocol), *self.views) if self.roles else ()


@dataclass(frozen=True)
class Task:
    """A question to a run: which graphs it takes, how the evidence is gathered, and how it is scored."""

    name: str
    graphs: tuple[str, ...]  # all are needed; the first is the one that is measured
    metrics: tuple[Metric, ...]  # those that suit the evidence count; the first that may, ranks a board's runs
    find: Callable[[Setting], Finding]
    prefix: str = ""  # of the metrics' names, where another task has them too
    wanted: Callable[[Setting], bool] = lambda setting: True

    def applies(self, setting: Setting) -> bool:
        """Whether this run can be asked, and should be."""
        return all(graph in setting.artifact for graph in self.graphs) and self.wanted(setting)


def suitable(task: Task, view: View) -> list[Metric]:
    """Those that can be computed of the model and of what has to be beaten: a score alone says little."""
    roles = [view.roles[role] for role in ("value", "baseline") if role in view.roles]
    return [metric for metric in task.metrics if all(metric.fits(evidence) for evidence in roles)]


def leader(task: Task, view: View) -> Metric:
    """The score that ranks a board's runs."""
    return next(metric for metric in suitable(task, view) if metric.leads(view.roles["value"]))
