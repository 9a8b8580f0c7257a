"""A run's smaller files, measured like the first ones: what each costs of the lead over the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genfoundry.files import sha256_file
from genfoundry.metrics import Estimate, Metric, difference_error
from genfoundry.params import Variant, VariantName
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.runtime.bench import time_graph
from genfoundry.runtime.golden import FULL
from genfoundry.tasks import Finding, Setting, Table, Task, View, leader

BATCHES = (1, 64)
LEAST, LONGEST = 1, 0.3  # runs, and seconds of them all unless so few take longer


@dataclass(frozen=True)
class First:
    """What a run is for: its first task, and the score that ranks it there."""

    task: Task
    name: str  # of the score
    metric: Metric
    value: Estimate
    baseline: Estimate

    @property
    def graph(self) -> str:
        """The one that is measured."""
        return self.task.graphs[0]

    @classmethod
    def of(cls, findings: Mapping[Task, Finding], setting: Setting) -> First:
        """The first task that is scored."""
        task, view = next((task, finding.all_views[0]) for task, finding in findings.items() if finding.all_views)
        metric = leader(task, view)
        roles = {role: metric.compute(view.roles[role], setting.config) for role in ("value", "baseline")}
        return cls(task, f"{task.prefix}{metric.called(view.roles['value'])}", metric, **roles)

    def again(self, setting: Setting) -> Estimate:
        """The score of other files."""
        view: View = self.task.find(setting).all_views[0]
        return self.metric.compute(view.roles["value"], setting.config)

    def lost(self, value: float) -> float:
        """Share of the lead over the baseline, below zero where something was won."""
        worse = value - self.value.value if self.metric.better == "lower" else self.value.value - value
        lead = abs(self.value.value - self.baseline.value)
        return worse / lead if lead else float(worse > 0)


def measure(
    setting: Setting,
    first: First,
    folder: Path,
    refused: Mapping[str, Mapping[str, str]],
    limits: Mapping[VariantName, Variant],
) -> dict[str, dict[str, Any]]:
    """By variant: its score, what that costs, the size of the file, and whether it ships; `refused` by the gate."""
    found: dict[str, dict[str, Any]] = {}
    whole = setting.artifact.graph(first.graph).path.stat().st_size
    for name, limit in limits.items():
        if first.graph in refused[name]:
            found[name] = {"graph": first.graph, "ships": False, "why": refused[name][first.graph]}
            continue
        path = folder / name / f"{first.graph}.onnx"
        size = path.stat().st_size
        found[name] = {
            "graph": first.graph,
            "file_sha256": sha256_file(path),
            "bytes": size,
            "share": size / whole,
            "score": first.name,
            **cost(first, first.again(setting.of(in_form(setting.artifact, folder / name))), limit.lead),
            "without": dict(refused[name]),
        }
    return found


def in_form(artifact: Artifact, folder: Path) -> Artifact:
    """The run in a smaller form; what it does not have in that form it keeps."""
    return Artifact({**artifact.graphs, **Artifact.load(folder).graphs})


def cost(first: First, value: Estimate, limit: float) -> dict[str, Any]:
    """What another score means, and whether that is within `limit`."""
    lost = first.lost(value.value)
    words = f"{first.name} {value.value:.4g} costs {lost:.1%} of the lead, {limit:.0%} is allowed"
    return {
        "value": value.value,
        "change": value.value - first.value.value,
        "change_stderr": difference_error(value, first.value),
        "lost": lost,
        "ships": lost <= limit,
        "why": "" if lost <= limit else words,
    }


def latencies(graph: ShippedGraph, folder: Path, variants: Mapping[str, Any]) -> Table:
    """Milliseconds of a batch on this machine, by variant."""
    forms = {FULL: graph} | {
        name: ShippedGraph.read(folder / name / graph.path.name)
        for name, entry in variants.items()
        if "bytes" in entry
    }
    return Table(("variant", *(f"batch_{batch}_ms" for batch in BATCHES)), [*timed(forms)])


def timed(forms: Mapping[str, ShippedGraph]) -> Iterator[tuple[str, ...]]:
    """A row for each."""
    for name, graph in forms.items():
        yield name, *(f"{1e3 * time_graph(graph, batch, LEAST, LONGEST):.3f}" for batch in BATCHES)
