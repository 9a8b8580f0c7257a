from __future__ import annotations

from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genfoundry.contract import Graph, Learner, Loss, Phase
from genfoundry.journal import Journal, mend
from genfoundry.params import Optimizer, Training
from genfoundry.training.checkpoint import good, load_shipped, step_of
from genfoundry.training.health import Health, diversity, mean_distance
from genfoundry.training.loop import train
from genfoundry.training.preview import Preview
from genfoundry.training.runtime import Runtime
from genfoundry.training.snapshots import Snapshots
from genfoundry.training.stage import ToJournal
from tests.unit import tiny

CPU = Runtime(torch.device("cpu"))
RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (64, *tiny.SHAPE)).astype(np.uint8)


def test_mean_distance_is_over_all_pairs() -> None:
    pairs = [np.linalg.norm(a.astype(float) - b.astype(float)) for a, b in combinations(REAL[:9], 2)]
    assert mean_distance(REAL[:9]) == pytest.approx(np.mean(pairs))


def test_samples_that_are_all_alike_have_no_diversity() -> None:
    assert diversity(np.repeat(REAL[:1], 50, axis=0), REAL) == 0.0


@pytest.mark.parametrize("modes", [2, 4, 16])
def test_a_few_images_over_and_over_have_the_share_of_pairs_that_differ(modes: int) -> None:
    times = 20
    samples = np.concatenate([REAL[:modes]] * times)
    different = (modes - 1) * times / (modes * times - 1)
    assert diversity(samples, REAL[:modes]) == pytest.approx(different)


def test_real_images_have_the_diversity_of_real_images() -> None:
    assert diversity(REAL[:32], REAL[32:]) == pytest.approx(1.0, abs=0.05)
    assert diversity(REAL // 2, REAL) == pytest.approx(0.5, abs=0.01)


def test_one_image_has_no_pairs() -> None:
    assert mean_distance(REAL[:1]) == 0.0
    assert diversity(REAL[:1], REAL[:1]) == 1.0


class Collapsing(Learner):
    """A generator whose loss is the length of its weights: in the end it gives one image, whatever the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = tiny.Generator()
        with torch.no_grad():
            self.generator.linear.weight.mul_(16.0)

    def loss(self, batch: Any) -> Loss:
        return Loss({"length": self.generator.linear.weight.square().sum()})

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("net", self.generator, self.loss),)

    def graphs(self) -> tuple[Graph, ...]:
        return (tiny.generate_graph(self.generator),)


class Supply:
    def at(self, step: int) -> dict[str, np.ndarray]:
        return {"image": REAL}


HALVING = Optimizer(name="sgd", lr=0.25, betas=(0.0, 0.0))  # the weights, at each step


def collapse(folder: Path, steps: int = 12, **changes: Any) -> tuple[Learner, list[dict[str, Any]]]:
    """Train to the end; the learner, and what the journal says."""
    config: Training = tiny.training(steps=12, optimizers={"net": HALVING}, **changes)
    checkpoint, journal = folder / "checkpoint.safetensors", Journal(folder / "train.jsonl")
    observer = ToJournal(
        journal,
        Preview(Supply().at(0), CPU, 0),
        Snapshots(folder / "snapshots"),
        Health("tiny", REAL, config, 0, good(checkpoint), journal),
    )
    short = config.model_copy(update={"steps": steps})
    model = train(
        Collapsing(), Supply(), short, CPU, seed=0, checkpoint=checkpoint, observer=observer, title="tiny"
    )
    journal.close()
    return model, mend(journal.path)


def points(entries: list[dict[str, Any]], key: str) -> dict[int, float]:
    return {e["step"]: e["values"][key] for e in entries if e["kind"] == "metrics" and key in e["values"]}


@pytest.mark.parametrize("ema", [None, 0.5])
def test_a_generator_that_collapses_rings_and_its_last_good_state_is_what_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ema: float | None
) -> None:
    model, entries = collapse(tmp_path, ema=ema)
    course = points(entries, "generate/diversity")
    assert list(course) == [2, 4, 6, 8, 10, 12]
    assert course[2] > 0.9
    assert course[12] < 0.1
    bad = min(step for step, value in course.items() if value < 0.5)
    place = good(tmp_path / "checkpoint.safetensors")
    assert step_of(place) == bad - 2
    rung = [line for line in capsys.readouterr().err.splitlines() if "COLLAPSE" in line]
    assert [f"step {step}:" in line for step, line in zip(range(bad, 13, 2), rung, strict=True)]
    assert all(f"step {bad - 2} was good" in line and str(place) in line for line in rung)
    assert any("collapse" in entry.get("values", {}) for entry in entries if entry["kind"] == "tags")
    load_shipped(place, model)
    images = Preview(Supply().at(0), CPU, 0).draw(model)["generate"]
    assert diversity(images, REAL) == pytest.approx(course[bad - 2])


def test_what_was_good_is_the_same_after_a_kill(tmp_path: Path) -> None:
    _, whole = collapse(tmp_path / "whole")
    for steps in (2, 6, 12):
        _, parts = collapse(tmp_path / "parts", steps)
    assert points(parts, "generate/diversity") == points(whole, "generate/diversity")
    first, second = (good(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "parts"))
    assert first == second


@pytest.mark.parametrize(
    ("step", "before", "rings"), [(2, False, False), (1, True, False), (2, True, True), (12, False, True)]
)
def test_samples_that_are_alike_ring_after_good_ones_or_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: int, before: bool, rings: bool
) -> None:
    """An untrained generator is no collapse; nor is one that a resumed training is about to make good again."""
    if before:
        collapse(tmp_path, 2)
        capsys.readouterr()
    journal = Journal(tmp_path / "other.jsonl")
    health = Health("tiny", REAL, tiny.training(steps=12), 0, good(tmp_path / "checkpoint.safetensors"), journal)
    assert health.check("generate", step, np.full_like(REAL, 128)) is False
    journal.close()
    said = capsys.readouterr().err
    assert ("COLLAPSE" in said) is rings
    assert ("this one ships" in said) is (rings and not before)


def test_nothing_is_good_before_all_phases_train(tmp_path: Path) -> None:
    """Samples of a part that has learnt nothing yet may be as various as one likes."""
    with closing(Journal(tmp_path / "journal.jsonl")) as journal:
        place = good(tmp_path / "checkpoint.safetensors")
        health = Health("tiny", REAL, tiny.training(steps=12), 4, place, journal)
        assert [health.check("generate", step, REAL) for step in (2, 4, 5)] == [False, False, True]
