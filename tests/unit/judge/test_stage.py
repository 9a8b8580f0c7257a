from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genfoundry.data import DataError
from genfoundry.data.batches import Prepared
from genfoundry.files import read_json, sha256_file, write_json
from genfoundry.judge.extractor import PretrainedJudge
from genfoundry.judge.reference import Reference
from genfoundry.judge.stage import JudgeError, judge_dataset
from genfoundry.networks.efficientnet_lite import EfficientNetLite0
from genfoundry.params import Extractor
from tests.unit import tiny
from tests.unit.conftest import write_params

JUDGE = {
    "steps": 40,
    "batch_size": 16,
    "log_every": 20,
    "sample_every": 20,
    "checkpoint_every": 20,
    "optimizers": {"judge": {"lr": 1e-2}},
}


def write_judge(accuracy: float, steps: int) -> None:
    path = "datasets__dots__judge__"
    changes = {f"{path}training": {**JUDGE, "steps": steps}, f"{path}accuracy": accuracy}
    write_params(Path(), tiny.params_tree(**changes))


def test_a_judge_learns_what_is_plain_and_measures_the_real_images(checkout: Path, prepared: Path) -> None:
    write_judge(accuracy=0.95, steps=40)
    judge_dataset("dots")
    folder, data = Path("judges/dots"), Prepared(prepared)
    about = read_json(folder / "judge.json")
    assert about["accuracy"] >= 0.95
    reference = Reference(folder, classes=2)
    assert reference.protocol == {"extractor": "judge", "sha256": sha256_file(folder / "classify.onnx")}
    seen = reference.see(np.array(data.split("test").images))
    assert seen.labels is not None
    assert reference.knows_classes
    assert np.array_equal(reference.classify(np.array(data.split("test").images)), seen.labels)
    assert (seen.labels == data.split("test").labels).mean() == about["accuracy"]
    np.testing.assert_allclose(seen.features, reference.test_features, atol=1e-5)
    assert np.array_equal(seen.labels, seen.real_labels)
    floor = reference.floor(1000)
    assert floor.features.shape == reference.test_features.shape
    assert not np.array_equal(floor.features, reference.test_features)


def test_a_judge_that_errs_too_often_is_refused(checkout: Path, prepared: Path) -> None:
    labels = np.load(prepared / "test_labels.npy")
    np.save(prepared / "test_labels.npy", 1 - labels)
    write_judge(accuracy=0.9, steps=40)
    with pytest.raises(JudgeError, match=r"^datasets\.dots\.judge\.accuracy: 0\.\d+ on the test split, needs 0\.9"):
        judge_dataset("dots")
    assert not list(Path("judges").iterdir())


@pytest.fixture
def published(checkout: Path) -> EfficientNetLite0:
    """The network whose weights were fetched, and a data set whose judge it is to be."""
    changes = {"datasets__dots__judge": {"extractor": "efficientnet_lite0", "size": 32}}
    # Random weights amplify rounding errors more than trained ones.
    changes["export__gate"] = {**tiny.GATE.model_dump(mode="json"), "max_abs": 1e-3, "mean_abs": 1e-4}
    write_params(Path(), tiny.params_tree(**changes))
    network = tiny.effnet()
    folder = Path("weights/efficientnet_lite0")
    folder.mkdir(parents=True)
    save_file(tiny.effnet_tensors(network), folder / "weights.safetensors")
    return network


def test_a_published_network_judges_without_labels(published: EfficientNetLite0, prepared: Path) -> None:
    judge_dataset("dots")
    folder, images = Path("judges/dots"), np.array(Prepared(prepared).split("test").images)
    assert sorted(path.name for path in folder.iterdir()) == ["encode.onnx", "judge.json", "reference.npz"]
    reference = Reference(folder, classes=2)
    assert reference.protocol == {
        "extractor": "effnet",
        "resize": "bicubic, antialiased, 32×32",
        "sha256": sha256_file(folder / "encode.onnx"),
    }
    seen, floor = reference.see(images), reference.floor(1000)
    assert seen.extractor == floor.extractor == "effnet"
    assert seen.labels is seen.real_labels is floor.labels is None
    assert not reference.knows_classes
    with pytest.raises(ValueError, match=r"^effnet knows no classes"):
        reference.classify(images)
    assert seen.features.shape == floor.features.shape == reference.test_features.shape == (40, 1280)
    np.testing.assert_allclose(seen.features, reference.test_features, atol=1e-3)
    assert not np.allclose(floor.features, reference.test_features, atol=0.1)
    judge = PretrainedJudge(Extractor(extractor="efficientnet_lite0", size=32), Prepared(prepared).spec).eval()
    judge.network = published
    with torch.no_grad():
        expected = judge(torch.from_numpy(images) / 255.0)
    np.testing.assert_allclose(seen.features, expected, atol=1e-3)


def test_each_domain_has_its_reference(published: EfficientNetLite0, prepared: Path) -> None:
    about = read_json(prepared / "dataset.json")
    write_json(prepared / "dataset.json", {**about, "layout": "domains", "classes": []})
    for split in ("train", "test"):
        images = np.load(prepared / f"{split}_images.npy")
        for name, part in (("a", images[:7]), ("b", images[7:])):
            np.save(prepared / f"{split}_{name}.npy", part)
        for name in ("images", "labels"):
            (prepared / f"{split}_{name}.npy").unlink()
    judge_dataset("dots")
    reference, data = Reference(Path("judges/dots"), classes=0), Prepared(prepared)
    for name, test in data.split("test").arrays.items():
        seen = reference.see(np.array(test), images=name)
        np.testing.assert_allclose(seen.features, reference.features("test", name), atol=1e-3)
        assert np.array_equal(seen.real_features, reference.features("test", name))
        count = min(len(test), len(data.split("train").arrays[name]))
        assert len(reference.floor(1000, images=name).features) == count


def test_weights_that_were_not_fetched_say_what_to_run(published: EfficientNetLite0, prepared: Path) -> None:
    Path("weights/efficientnet_lite0/weights.safetensors").unlink()
    with pytest.raises(DataError, match="`dvc repro weights@efficientnet_lite0` fetches it"):
        judge_dataset("dots")
    assert not Path("judges").exists()
