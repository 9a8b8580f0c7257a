from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genfoundry.closure import family_sources
from genfoundry.data.batches import Prepared
from genfoundry.export.stage import export_run
from genfoundry.files import read_json, sha256_file
from genfoundry.judge.stage import Quiet
from genfoundry.networks.lpips import LPIPS
from genfoundry.params import ParamsError, load_run
from genfoundry.runtime.artifact import Artifact
from genfoundry.training.loop import train
from genfoundry.training.runtime import Runtime
from genfoundry.training.snapshots import read_snapshots
from genfoundry.training.stage import give_weights, record, train_run
from genfoundry.training.weights import reached
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
    assert any(line.startswith("4,generate/diversity,") for line in history)
    snapshots = read_snapshots(Path("snapshots/tiny.npz"))
    assert list(snapshots) == ["generate"]
    assert list(snapshots["generate"]) == [2, 4]
    first = sha256_file(Path("models/tiny/weights.safetensors"))
    train_run("tiny")  # from the checkpoint at its end
    assert sha256_file(Path("models/tiny/weights.safetensors")) == first
    export_run("tiny")
    artifact = Artifact.load("onnx/tiny")
    assert artifact.about["identity"] == about["identity"]
    assert artifact.about["steps"] == about["step"] in (2, 4)
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


def test_the_identity_covers_the_published_weights(checkout: Path) -> None:
    def identity(**changes: str) -> str:
        write_params(checkout, tiny.params_tree(runs__tiny__weights="efficientnet_lite0", **changes))
        return record(*load_run("tiny"), Prepared(Path("data/prepared/dots")))["identity"]

    assert identity() == identity(weights__efficientnet_lite0__licence="other")
    assert identity() != identity(weights__efficientnet_lite0__sha256="1" * 64)


def test_published_weights_reach_the_loss_and_neither_checkpoint_nor_model(workspace: Path) -> None:
    torch.manual_seed(0)
    tensors = tiny.lpips_tensors(LPIPS("alexnet"))
    folder = Path("weights/lpips_alexnet")
    folder.mkdir(parents=True)
    save_file(tensors, folder / "weights.safetensors")
    torch.manual_seed(1)
    model = tiny.Perceptual()
    give_weights(model, "lpips_alexnet", "runs.tiny.weights")
    settings = {"seed": 0, "checkpoint": Path("checkpoint"), "observer": Quiet(), "title": "tiny"}
    learned = train(model, Images(), tiny.training(steps=8, ema=0.5), Runtime(torch.device("cpu")), **settings)
    for name, place in model.lpips._places():
        assert torch.equal(place, tensors[name]), name
    image = torch.from_numpy(Images().at(0)["image"]) / 255.0
    with torch.no_grad():
        start, end = (model.lpips(image, x).mean() for x in (torch.full_like(image, 0.5), learned(image)))
    assert end < start
    assert Path("checkpoint").stat().st_size < 100_000
    assert set(reached(learned)) == {"image"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lpips_alexnet", "`dvc repro weights@lpips_alexnet` fetches it"),
        ("other", "not the weights of LPIPS on alexnet"),
    ],
)
def test_weights_that_do_not_serve_are_a_line_with_the_path(workspace: Path, name: str, words: str) -> None:
    folder = Path("weights/other")
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, folder / "weights.safetensors")
    with pytest.raises(ParamsError, match=rf"^runs\.tiny\.weights: .*{words}"):
        give_weights(tiny.Perceptual(), name, "runs.tiny.weights")


class Images:
    """The same grey ramp at every step."""

    def at(self, step: int) -> dict[str, np.ndarray]:
        return {"image": np.tile(np.arange(0, 231, 7, dtype=np.uint8), (4, 1, 33, 1))}


def test_checkpoints_of_other_inputs_are_forgotten(checkout: Path) -> None:
    stale, other = Path(".checkpoints/tiny-0123456789abcdef"), Path(".checkpoints/tiny_two-0123456789abcdef")
    for folder in (stale, other):
        folder.mkdir(parents=True)
    train_run("tiny")
    assert not stale.exists()
    assert other.exists()
