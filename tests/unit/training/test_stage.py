from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genfoundry.closure import family_sources
from genfoundry.data.batches import Prepared
from genfoundry.data.prepare import row_keys
from genfoundry.export.stage import export_run
from genfoundry.files import read_json, sha256_file
from genfoundry.networks.lpips import LPIPS
from genfoundry.params import ParamsError, load_run
from genfoundry.runtime.artifact import Artifact
from genfoundry.training.loop import Quiet, train
from genfoundry.training.runtime import Runtime
from genfoundry.training.snapshots import read_snapshots
from genfoundry.training.stage import alike, give_weights, record, shown, train_run
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


def test_the_identity_covers_what_computes(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of another torch, or of a GPU, is not the beginning of this training."""
    run, prepared = load_run("tiny"), Prepared(Path("data/prepared/dots"))
    first = record(*run, prepared)
    assert (first["torch"], first["device"]) == (torch.__version__, Runtime.best().device.type)
    monkeypatch.setattr(torch, "__version__", "1.0.0")
    assert record(*run, prepared)["identity"] != first["identity"]


def test_what_samples_are_held_against_is_of_training_and_of_the_runs_classes(checkout: Path) -> None:
    write_params(checkout, tiny.params_tree(runs__tiny__data__classes=["one"], runs__tiny__training__pictures=8))
    (_, run), prepared = load_run("tiny"), Prepared(Path("data/prepared/dots"))
    train, test = (prepared.split(name) for name in ("train", "test"))
    against = set(row_keys(alike(prepared, run, 0)))
    assert against <= set(row_keys(train.images[train.labels == 1]))
    pictures = row_keys(shown(test, prepared.spec, run, 0)["image"])
    assert set(pictures) <= set(row_keys(np.asarray(test.images)))
    assert len(pictures) == 8


@pytest.mark.parametrize("labels", [{}, {"labels": 4}, {"labels": 4, "unlabelled": False}])
def test_with_few_labels_samples_are_held_against_what_the_run_sees(checkout: Path, labels: dict) -> None:
    changes = {f"runs__tiny__data__{key}": value for key, value in labels.items()}
    write_params(checkout, tiny.params_tree(runs__tiny__training__pictures=30, **changes))
    (_, run), prepared = load_run("tiny"), Prepared(Path("data/prepared/dots"))
    assert len(alike(prepared, run, 0)) == (4 if "unlabelled" in labels else 30)


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
