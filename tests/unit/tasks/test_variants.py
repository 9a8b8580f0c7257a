from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genfoundry.data.batches import Prepared
from genfoundry.metrics import Estimate, mean
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.golden import FULL
from genfoundry.tasks import Finding, Picture, Setting, Task, reconstruct
from genfoundry.tasks.variants import BATCHES, First, cost, latencies, measure
from tests.unit import tiny

LIMITS = tiny.export().variants


@pytest.fixture
def files(shipped: Path, tmp_path: Path) -> Path:
    """A run whose smaller forms are its own files: they cost nothing."""
    folder = tmp_path / "onnx" / "tiny"
    for form in (".", "fp16", "int8"):
        shutil.copytree(shipped, folder / form, dirs_exist_ok=True)
    return folder


@pytest.fixture
def setting(files: Path, prepared: Path) -> Setting:
    return Setting(Artifact.load(files), Prepared(prepared), None, tiny.evaluation(), 0)  # type: ignore[arg-type]


@pytest.fixture
def first(setting: Setting) -> First:
    unscored = Task("seen", ("generate",), (), lambda _: Finding())
    findings = {
        unscored: Finding(pictures={"one": Picture(np.zeros((1, 1, 4, 4), np.uint8), "black")}),
        reconstruct.TASK: reconstruct.TASK.find(setting),
    }
    return First.of(findings, setting)


def test_the_first_score_is_that_which_ranks_the_first_task_that_has_any(first: First, setting: Setting) -> None:
    assert (first.task, first.name, first.graph) == (reconstruct.TASK, "mse", "reconstruct")
    assert first.again(setting) == first.value
    assert first.baseline.value < first.value.value  # an untrained run does not beat PCA


def test_what_is_the_same_costs_nothing_and_ships(first: First, setting: Setting, files: Path) -> None:
    found = measure(setting, first, files, {"fp16": {}, "int8": {"encode": "too coarse"}}, LIMITS)
    for entry in found.values():
        assert entry["ships"]
        assert (entry["lost"], entry["change"], entry["change_stderr"], entry["share"]) == (0.0, 0.0, 0.0, 1.0)
        assert entry["bytes"] == (files / "reconstruct.onnx").stat().st_size
    assert found["int8"]["without"] == {"encode": "too coarse"}


def test_what_the_gate_refused_is_not_measured(first: First, setting: Setting, files: Path) -> None:
    found = measure(setting, first, files, {"fp16": {}, "int8": {"reconstruct": "max_abs 2 is over 1"}}, LIMITS)
    assert found["int8"] == {"graph": "reconstruct", "ships": False, "why": "max_abs 2 is over 1"}
    table = latencies(setting.artifact.graph("reconstruct"), files, found)
    assert [row[0] for row in table.rows] == [FULL, "fp16"]
    assert len(table.header) == 1 + len(BATCHES)
    assert all(float(cell) > 0 for row in table.rows for cell in row[1:])


def test_graphs_that_were_refused_are_used_as_they_were(first: First, setting: Setting, files: Path) -> None:
    """`reconstruct` asks `encode` for the latent's width."""
    (files / "int8" / "encode.onnx").unlink()
    found = measure(setting, first, files, {"fp16": {}, "int8": {"encode": "too coarse"}}, LIMITS)
    assert found["int8"]["ships"]


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_what_costs_more_of_the_lead_than_is_allowed_does_not_ship(first: First, better: str) -> None:
    sign = 1 if better == "lower" else -1
    value, metric = mean(np.array([sign * 0.9, sign * 1.1])), replace(first.metric, better=better)
    first = replace(first, value=value, baseline=Estimate(sign * 3.0), metric=metric)
    for other, lost, ships in ((1.0, 0.0, True), (1.04, 0.02, True), (1.2, 0.1, False), (0.8, -0.1, True)):
        found = cost(first, Estimate(sign * other), 0.05)
        assert found["lost"] == pytest.approx(lost)
        assert found["ships"] == ships
        assert bool(found["why"]) != ships
    assert "costs 10.0% of the lead, 5% is allowed" in cost(first, Estimate(sign * 1.2), 0.05)["why"]


def test_without_a_lead_any_loss_is_too_much(first: First) -> None:
    first = replace(first, baseline=first.value)
    assert cost(first, first.value, 0.05)["ships"]
    assert not cost(first, Estimate(2 * first.value.value), 0.05)["ships"]
