from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.files import sha256_file
from genfoundry.journal import Journal
from genfoundry.metrics import Paired, Sampled, Seen, Trials
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import Finding, Picture, Table, Task, View, augment, generate, reconstruct
from genfoundry.tasks.stage import TASKS, draw, score, write_table
from tests.unit import tiny
from tests.unit.metrics.made import sampled, sure

CONFIG = tiny.evaluation()
RNG = np.random.default_rng(0)
REAL = RNG.standard_normal((40, 3)).astype(np.float32)


def seen(labels: list[int]) -> Sampled:
    """As the judge sees samples of these classes, which copy nothing."""
    real = Seen(REAL, sure(list(range(2)) * 20, 2))
    return Sampled(Seen(RNG.standard_normal((len(labels), 3)), sure(labels, 2)), real, train=Seen(9.0 + REAL))


def findings() -> dict[Task, Finding]:
    images = RNG.random((2, 4, 1, 16, 16), dtype=np.float32)
    roles = {"value": seen([0, 0, 0, 1] * 5), "floor": seen([0, 1] * 10)}
    return {
        generate.TASK: Finding(roles, "b", {"n": 20}),
        reconstruct.TASK: Finding({"value": Paired(images[0], images[1])}, "PCA", {"n": 4}),
    }


def test_no_two_tasks_give_a_score_of_one_name() -> None:
    names = [f"{task.prefix}{metric.name}" for task in TASKS for metric in task.metrics]
    assert len(set(names)) == len(names)
    assert len({task.name for task in TASKS}) == len(TASKS)


def test_scores_and_protocol_have_the_same_keys_and_cite_the_file(shipped: Path) -> None:
    scores, protocol = score(findings(), Artifact.load(shipped), CONFIG, seed=5)
    expected = {
        metric.name: task
        for task, finding in findings().items()
        for metric in task.metrics
        if metric.fits(finding.roles["value"])
    }
    assert set(scores) == set(protocol) == set(expected)
    for name, task in expected.items():
        words = protocol[name]
        assert words["file_sha256"] == sha256_file(shipped / f"{task.graphs[0]}.onnx")
        assert (words["task"], words["seed"]) == (task.name, 5)
        assert words["leads"] == (name == task.metrics[0].name)
        assert {"value"} <= set(scores[name]) <= {"value", "floor", "stderr", "std"}
        assert all(isinstance(value, float) for value in scores[name].values())


def test_what_is_only_to_be_seen_has_no_scores(shipped: Path) -> None:
    found = {generate.TASK: Finding(pictures={"one": Picture(np.zeros((1, 1, 4, 4), np.uint8), "black")})}
    assert score(found, Artifact.load(shipped), CONFIG, seed=5) == ({}, {})


def test_without_labels_nothing_that_counts_classes_is_left_and_no_distance_is_called_fid(shipped: Path) -> None:
    role = sampled(RNG.standard_normal((20, 3)), REAL, "effnet")
    found = {generate.TASK: Finding({"value": role, "floor": role}, "b", {"n": 20})}
    scores, protocol = score(found, Artifact.load(shipped), CONFIG, seed=5)
    manifolds = ["precision_effnet", "recall_effnet", "density_effnet", "coverage_effnet"]
    assert list(scores) == list(protocol) == ["fd_effnet", "kd_effnet", "fd_infinity_effnet", *manifolds]


def test_scores_say_how_far_they_and_their_lead_may_be_off(shipped: Path) -> None:
    trials = Trials(np.array([0.9, 0.7]), np.array([0.6, 0.6]))
    found = {**findings(), augment.TASK: Finding({"value": trials, "baseline": trials}, "b", {"n": 20})}
    scores, _ = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert all(roles["stderr"] >= 0.0 for roles in scores.values())
    assert scores["augment_gain"]["stderr"] == pytest.approx(0.1)
    assert scores["augment_gain"]["difference_stderr"] == 0.0  # it is its own baseline
    assert [name for name, roles in scores.items() if "std" in roles] == ["kid_judge"]


def test_a_score_that_the_baseline_cannot_have_is_none(shipped: Path) -> None:
    """A baseline that misses a class has no distance to it; a model's alone would say little."""
    full, poor = seen([0, 1] * 10), seen([0] * 19 + [1])
    for baseline, there in ((full, True), (poor, False)):
        found = {generate.TASK: Finding({"value": full, "baseline": baseline}, "b", {"n": 20})}
        scores, _ = score(found, Artifact.load(shipped), CONFIG, seed=5)
        assert ("class_fid_judge" in scores) == there


def test_each_network_has_a_leading_score(shipped: Path) -> None:
    few = View({"value": sampled(RNG.standard_normal((20, 40)), RNG.standard_normal((30, 40)), "inception")}, {})
    found = {generate.TASK: Finding({"value": seen([0, 1] * 10)}, "b", {"n": 20}, views=(few,))}
    _, protocol = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert [name for name, words in protocol.items() if words["leads"]] == ["fid_judge", "kid_inception"]


def test_what_a_role_does_not_allow_is_left_out(shipped: Path) -> None:
    """Training images have nothing that they could be a copy of."""
    floor = sampled(REAL[:20], REAL)
    found = {generate.TASK: Finding({"value": seen([0, 1] * 10), "floor": floor}, "b", {"n": 20})}
    scores, _ = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert "floor" in scores["fid_judge"]
    assert "floor" not in scores["copies_judge"]


@pytest.mark.parametrize(("samples", "real", "leader"), [(41, 41, "fd"), (40, 41, "kd"), (41, 40, "kd")])
def test_a_kernel_distance_leads_where_covariances_are_singular(
    shipped: Path, samples: int, real: int, leader: str
) -> None:
    features = [RNG.standard_normal((count, 40)) for count in (samples, real)]
    role = sampled(*features, "effnet")
    _, protocol = score({generate.TASK: Finding({"value": role}, "b", {})}, Artifact.load(shipped), CONFIG, 0)
    assert [name for name, words in protocol.items() if words["leads"]] == [f"{leader}_effnet"]


def test_the_histogram_has_the_shares_of_each_class() -> None:
    table = generate.histogram(seen([0, 0, 0, 1] * 5), ("bag", "shoe"))
    assert table.header == ("class", "samples", "real")
    assert table.rows == [["bag", "0.75000", "0.50000"], ["shoe", "0.25000", "0.50000"]]


def test_a_row_for_each_snapshot_has_its_modes_and_the_shares_of_its_classes() -> None:
    at_steps = {20: seen([1, 1, 1, 1]), 100: seen([0, 1, 1, 1])}
    table = generate.over_time(at_steps, ("bag", "shoe"), CONFIG)
    assert table.header == ("step", "modes", "class_kl", "bag", "shoe")
    assert [[step, float(modes), *map(float, shares)] for step, modes, _, *shares in table.rows] == [
        [20, 1.0, 0.0, 1.0],
        [100, 2.0, 0.25, 0.75],
    ]
    assert float(table.rows[0][2]) == pytest.approx(np.log(2), abs=1e-4)


@pytest.mark.parametrize("label", ["bag", "bag, small"])
def test_a_table_is_read_as_it_was_written(tmp_path: Path, label: str) -> None:
    write_table(tmp_path / "classes.csv", Table(("class", "samples"), [[label, "0.75"]]))
    with (tmp_path / "classes.csv").open(newline="") as stream:
        assert list(csv.DictReader(stream)) == [{"class": label, "samples": "0.75"}]


def test_pictures_are_drawn_with_their_captions(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (6, 1, 4, 4)).astype(np.uint8)
    pictures = {"one": Picture(images, "as it comes"), "two": Picture(images, "in a row", columns=6)}
    journal = Journal(tmp_path / "evaluate.jsonl")
    draw({generate.TASK: Finding({}, "b", {}, pictures)}, tmp_path, journal)
    journal.close()
    assert Image.open(tmp_path / "two.png").size == (6 * 6 - 2, 4)
    assert json.loads((tmp_path / "pictures.json").read_text()) == [
        {"name": "one", "caption": "as it comes", "wide": False},
        {"name": "two", "caption": "in a row", "wide": True},
    ]
