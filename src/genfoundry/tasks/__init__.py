"""What a run's exported graphs are asked to do. One file a task: it gathers evidence and names the metrics of it.

A new task is a file with a `TASK` and its place in `TASKS` of `tasks/stage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from genfoundry.data.batches import Prepared
from genfoundry.judge.reference import Reference
from genfoundry.metrics import Metric
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.params import Data, Evaluation, validate
from genfoundry.runtime.artifact import Artifact


@dataclass(frozen=True)
class Setting:
    """All that evidence is gathered from."""

    artifact: Artifact
    prepared: Prepared
    reference: Reference
    config: Evaluation
    seed: int
    rival: Artifact | None = None  # the run to beat, where params.yaml names one
    snapshots: Mapping[str, Mapping[int, np.ndarray]] = field(default_factory=dict)  # of training: graph, step

    @cached_property
    def data(self) -> Data:
        """How the run saw its data: evaluation degrades and selects as training did."""
        return validate(Data, self.artifact.about["data"])

    def pca(self, components: int) -> PcaBaseline:
        """Of the training images; fitted once for all tasks that compare with it."""
        if components not in self._pcas:
            self._pcas[components] = PcaBaseline(self.prepared.split("train").images, components)
        return self._pcas[components]

    @cached_property
    def _pcas(self) -> dict[int, PcaBaseline]:
        return {}


def learns_all(setting: Setting) -> bool:
    """Whether the run has seen every class: one that has not is asked about anomalies."""
    return setting.data.classes is None


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
    """The evidence of one task, what it is compared with, and what a reader should see of it."""

    roles: Mapping[str, Any]  # "value", "baseline" and, where there is one, "floor" → evidence
    baseline: str
    protocol: Mapping[str, Any]
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)


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
