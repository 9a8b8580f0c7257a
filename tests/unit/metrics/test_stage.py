from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from genfoundry.files import sha256_file
from genfoundry.metrics import Paired, Sampled
from genfoundry.metrics.stage import METRICS, Finding, score, write_histogram
from genfoundry.params import Evaluation
from genfoundry.runtime.artifact import Artifact

CONFIG = Evaluation(samples=100, kid_subsets=2, kid_subset_size=10, mode_share=0.1, pictures=4)
RNG = np.random.default_rng(0)
REAL = (RNG.standard_normal((40, 3)).astype(np.float32), np.arange(40) % 2)


def sampled(labels: list[int]) -> Sampled:
    return Sampled(RNG.standard_normal((len(labels), 3)).astype(np.float32), np.array(labels), *REAL, 2)


def findings() -> dict[str, Finding]:
    images = RNG.random((2, 4, 1, 16, 16), dtype=np.float32)
    return {
        "generate": Finding(
            {"value": sampled([0, 0, 0, 1] * 5), "floor": sampled([0, 1] * 10)}, "b", {}, {"n": 20}
        ),
        "reconstruct": Finding({"value": Paired(images[0], images[1])}, "PCA", {}, {"n": 4}),
    }


def test_each_graph_has_one_leading_metric_and_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for graph in ("generate", "reconstruct"):
        assert sum(metric.leads for metric in METRICS if metric.graph == graph) == 1


def test_scores_and_protocol_have_the_same_keys_and_cite_the_file(shipped: Path) -> None:
    scores, protocol = score(findings(), Artifact.load(shipped), CONFIG, seed=5)
    assert set(scores) == set(protocol) == {metric.name for metric in METRICS}
    for metric in METRICS:
        words = protocol[metric.name]
        assert words["file_sha256"] == sha256_file(shipped / f"{metric.graph}.onnx")
        assert (words["better"], words["graph"], words["seed"]) == (metric.better, metric.graph, 5)
        roles = {"value", "floor"} if metric.graph == "generate" else {"value"}
        assert set(scores[metric.name]) == roles
        assert all(isinstance(value, float) for value in scores[metric.name].values())


def test_a_graph_that_does_not_ship_has_no_scores(shipped: Path) -> None:
    scores, _ = score({"reconstruct": findings()["reconstruct"]}, Artifact.load(shipped), CONFIG, 0)
    assert set(scores) == {metric.name for metric in METRICS if metric.graph == "reconstruct"}


def test_without_labels_two_distances_are_left_and_neither_is_called_fid(shipped: Path, tmp_path: Path) -> None:
    role = Sampled(RNG.standard_normal((20, 3)), None, REAL[0], None, 0, "effnet")
    found = {"generate": Finding({"value": role, "floor": role}, "b", {}, {"n": 20})}
    scores, protocol = score(found, Artifact.load(shipped), CONFIG, seed=5)
    assert list(scores) == list(protocol) == ["fd_effnet", "kd_effnet"]
    write_histogram(tmp_path / "classes.csv", found, ())
    assert not (tmp_path / "classes.csv").exists()


@pytest.mark.parametrize(("samples", "real", "leader"), [(41, 41, "fd"), (40, 41, "kd"), (41, 40, "kd")])
def test_a_kernel_distance_leads_where_covariances_are_singular(
    shipped: Path, samples: int, real: int, leader: str
) -> None:
    features = (RNG.standard_normal((count, 40)) for count in (samples, real))
    role = Sampled(next(features), None, next(features), None, 0, "effnet")
    found = {"generate": Finding({"value": role}, "b", {}, {"n": samples})}
    _, protocol = score(found, Artifact.load(shipped), CONFIG, 0)
    assert [name for name, words in protocol.items() if words["leads"]] == [f"{leader}_effnet"]


@pytest.mark.parametrize(
    "label",
    [
        "bag",
        "bag, small",
    ],
)
def test_the_histogram_has_a_line_for_each_class(tmp_path: Path, label: str) -> None:
    write_histogram(tmp_path / "classes.csv", findings(), (label, "shoe"))
    with (tmp_path / "classes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [
        {"class": label, "samples": "0.75000", "real": "0.50000"},
        {"class": "shoe", "samples": "0.25000", "real": "0.50000"},
    ]


def test_without_samples_there_is_no_histogram(tmp_path: Path) -> None:
    write_histogram(tmp_path / "classes.csv", {"reconstruct": findings()["reconstruct"]}, ("a", "b"))
    assert not (tmp_path / "classes.csv").exists()
