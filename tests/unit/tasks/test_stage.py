from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.files import sha256_file
from genfoundry.journal import Journal
from genfoundry.metrics import Paired, Sampled, Trials
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import Finding, Picture, Table, Task, augment, generate, reconstruct
from genfoundry.tasks.stage import TASKS, draw, score, write_table
from tests.unit import tiny

CONFIG = tiny.evaluation()
RNG = np.random.default_rng(0)
REAL = (RNG.standard_normal((40, 3)).astype(np.float32), np.arange(40) % 2)


def sampled(labels: list[int]) -> Sampled:
    return Sampled(RNG.standard_normal((len(labels), 3)).astype(np.float32), np.array(labels), *REAL, 2)


def findings() -> dict[Task, Finding]:
    images = RNG.random((2, 4, 1, 16, 16), dtype=np.float32)
    roles = {"value": sampled([0, 0, 0, 1] * 5), "floor": sampled([0, 1] * 10)}
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
    expected = {metric.name: task for task in findings() for metric in task.metrics}
    assert set(scores) == set(protocol) == set(expected)
    for name, task in expected.items():
        words = protocol[name]
        assert words["file_sha256"] == sha256_file(shipped / f"{task.graphs[0]}.onnx")
        assert (words["task"], words["seed"]) == (task.name, 5)
        assert words["leads"] == (name == task.metrics[0].name)
        assert set(scores[name]) == ({"value", "floor"} if task is generate.TASK else {"value"})
        assert all(isinstance(value, float) for value in scores[name].values())


def test_what_is_only_to_be_seen_has_no_scores(shipped: Path) -> None:
    found = {generate.TASK: Finding(pictures={"one": Picture(np.zeros((1, 1, 4, 4), np.uint8), "black")})}
    assert score(found, Artifact.load(shipped), CONFIG, seed=5) == ({}, {})


def test_without_labels_two_distances_are_left_and_neither_is_called_fid(shipped: Path) -> None:
    role = Sampled(RNG.standard_normal((20, 3)), None, REAL[0], None, 0, "effnet")
    found = {generate.TASK: Finding({"value": role, "floor": role}, "b", {"n": 20})}
    scores, protocol = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert list(scores) == list(protocol) == ["fd_effnet", "kd_effnet"]


def test_a_score_over_trainings_has_a_standard_error_and_others_have_none(shipped: Path) -> None:
    trials = Trials(np.array([0.9, 0.7]), np.array([0.6, 0.6]))
    found = {**findings(), augment.TASK: Finding({"value": trials, "baseline": trials}, "b", {"n": 20})}
    scores, _ = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert {name for name, roles in scores.items() if "stderr" in roles} == {"augment_accuracy", "augment_gain"}
    assert scores["augment_gain"]["stderr"] == pytest.approx(0.1)


@pytest.mark.parametrize(("samples", "real", "leader"), [(41, 41, "fd"), (40, 41, "kd"), (41, 40, "kd")])
def test_a_kernel_distance_leads_where_covariances_are_singular(
    shipped: Path, samples: int, real: int, leader: str
) -> None:
    features = [RNG.standard_normal((count, 40)) for count in (samples, real)]
    role = Sampled(features[0], None, features[1], None, 0, "effnet")
    _, protocol = score({generate.TASK: Finding({"value": role}, "b", {})}, Artifact.load(shipped), CONFIG, 0)
    assert [name for name, words in protocol.items() if words["leads"]] == [f"{leader}_effnet"]


def test_the_histogram_has_the_shares_of_each_class() -> None:
    table = generate.histogram(sampled([0, 0, 0, 1] * 5), ("bag", "shoe"))
    assert table.header == ("class", "samples", "real")
    assert table.rows == [["bag", "0.75000", "0.50000"], ["shoe", "0.25000", "0.50000"]]


def test_a_row_for_each_snapshot_has_its_modes_and_the_shares_of_its_classes() -> None:
    seen = {20: sampled([1, 1, 1, 1]), 100: sampled([0, 1, 1, 1])}
    table = generate.over_time(seen, ("bag", "shoe"), CONFIG)
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
