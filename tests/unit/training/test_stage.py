from __future__ import annotations

import json
from pathlib import Path

import pytest

from genfoundry.closure import family_sources
from genfoundry.data.batches import Prepared
from genfoundry.export.stage import export_run
from genfoundry.files import read_json, sha256_file
from genfoundry.params import load_run
from genfoundry.runtime.artifact import Artifact
from genfoundry.training.stage import record, train_run
from tests.unit import tiny
from tests.unit.conftest import write_params


def test_a_trained_run_exports_and_says_what_it_is(checkout: Path) -> None:
    # After four steps a latent may move less than a trained one must.
    write_params(checkout, tiny.params_tree(export__gate__min_spread=1e-6))
    train_run("tiny")
    about = read_json(Path("models/tiny/run.json"))
    assert about["family"] == "vae"
    assert about["sources"] == family_sources("vae")
    assert about["fingerprint"] == Prepared(Path("data/prepared/dots")).about["fingerprint"]
    history = Path("history/tiny.csv").read_text().splitlines()
    assert history[0] == "step,term,value"
    assert {line.split(",")[0] for line in history[1:]} == {"2", "4"}
    assert not any("system/" in line for line in history)
    first = sha256_file(Path("models/tiny/weights.safetensors"))
    train_run("tiny")  # from the checkpoint at its end
    assert sha256_file(Path("models/tiny/weights.safetensors")) == first
    export_run("tiny")
    artifact = Artifact.load("onnx/tiny")
    assert artifact.about["identity"] == about["identity"]
    assert set(read_json(Path("onnx/tiny/gate.json"))["margins"]) == set(artifact)
    kinds = [json.loads(line)["kind"] for line in Path("journal/tiny/export.jsonl").read_text().splitlines()]
    assert kinds.count("file") == len(artifact.graphs)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, False),
        ({"seed": 1}, True),
        ({"runs__tiny__training__batch_size": 5}, True),
        ({"runs__tiny__model__latent_dim": 4}, True),
        ({"evaluation__samples": 200}, False),
        ({"tracking__poll_seconds": 9.0}, False),
        ({"datasets__dots__licence": "other"}, False),
    ],
)
def test_identity_follows_from_what_training_reads_alone(checkout: Path, changes: dict, differs: bool) -> None:
    def identity() -> str:
        return record(*load_run("tiny"), Prepared(Path("data/prepared/dots")))["identity"]

    before = identity()
    write_params(checkout, tiny.params_tree(**changes))
    assert (identity() != before) is differs


def test_checkpoints_of_other_inputs_are_forgotten(checkout: Path) -> None:
    stale, other = Path(".checkpoints/tiny-0123456789abcdef"), Path(".checkpoints/tiny_two-0123456789abcdef")
    for folder in (stale, other):
        folder.mkdir(parents=True)
    train_run("tiny")
    assert not stale.exists()
    assert other.exists()
