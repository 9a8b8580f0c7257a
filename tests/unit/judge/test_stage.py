from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genfoundry.data import DataError
from genfoundry.data.batches import Prepared
from genfoundry.files import read_json, sha256_file, write_json
from genfoundry.judge.extractor import Extractor, squares
from genfoundry.judge.published import EXTRACTORS, Looking
from genfoundry.judge.reference import measure_dataset, measured, references
from genfoundry.judge.stage import JudgeError, judge_dataset, ship_extractor
from genfoundry.metrics import MetricError
from genfoundry.networks.efficientnet_lite import EfficientNetLite0
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


@pytest.fixture
def judged(checkout: Path, prepared: Path) -> Prepared:
    """A data set whose judge was trained, and what it saw."""
    write_judge(accuracy=0.95, steps=40)
    judge_dataset("dots")
    measure_dataset("dots")
    return Prepared(prepared)


def test_a_judge_learns_what_is_plain_and_its_real_images_are_measured(judged: Prepared) -> None:
    test = judged.split("test")
    (reference,) = references("dots")
    assert reference.protocol == {"extractor": "judge", "sha256": sha256_file(Path("judges/dots/classify.onnx"))}
    seen = reference.see(np.array(test.images))
    assert reference.knows_classes
    assert np.array_equal(reference.classify(np.array(test.images)), seen.samples.labels)
    assert (seen.samples.labels == test.labels).mean() >= 0.95
    np.testing.assert_allclose(seen.samples.features, seen.real.features, atol=1e-5)
    assert np.array_equal(seen.samples.labels, seen.real.labels)
    assert seen.train is reference.real("train")
    assert len(reference.real("train")) == len(judged.split("train"))


def test_the_floor_is_of_training_images_and_knows_no_others_to_copy(judged: Prepared) -> None:
    (reference,) = references("dots")
    train, floor = reference.real("train"), reference.floor(7)
    assert len(floor.samples) == 7
    assert {row.tobytes() for row in floor.samples.features} <= {row.tobytes() for row in train.features}
    assert floor.train is None
    assert len(reference.floor(10**6).samples) == len(train)
    assert np.array_equal(reference.floor(7).samples.features, floor.samples.features)


def test_only_bytes_are_scored(judged: Prepared) -> None:
    with pytest.raises(MetricError, match="scores are of images in bytes, not in float32"):
        references("dots")[0].see(np.zeros((3, 1, 8, 8), np.float32))


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
    measure_dataset("dots")
    folder, images = Path("judges/dots"), np.array(Prepared(prepared).split("test").images)
    assert sorted(path.name for path in folder.iterdir()) == ["encode.onnx", "extractor.json"]
    (reference,) = references("dots")
    assert reference.protocol == {
        "extractor": "effnet",
        "resize": "bicubic, antialiased, 32×32",
        "sha256": sha256_file(folder / "encode.onnx"),
    }
    seen, floor = reference.see(images), reference.floor(1000)
    assert seen.extractor == floor.extractor == "effnet"
    assert seen.samples.logits is seen.real.logits is floor.samples.logits is None
    assert not reference.knows_classes
    with pytest.raises(MetricError, match=r"^this extractor knows no classes"):
        reference.classify(images)
    assert seen.samples.features.shape == seen.real.features.shape == (40, 1280)
    assert np.array_equal(seen.samples.features, seen.real.features)
    assert not np.allclose(floor.samples.features[:40], seen.real.features, atol=0.1)
    looking = Looking(EXTRACTORS["efficientnet_lite0"], 32).eval()
    looking.network = published
    with torch.no_grad():
        expected = looking(torch.from_numpy(squares(images, 32, "bicubic")))
    np.testing.assert_allclose(seen.samples.features, expected, atol=1e-3)


def test_published_networks_see_a_data_set_beside_its_judge(published: EfficientNetLite0, prepared: Path) -> None:
    changes = {"evaluation__extractors": ["efficientnet_lite0"], "datasets__dots__judge__training": {**JUDGE}}
    gate = {**tiny.GATE.model_dump(mode="json"), "max_abs": 1e-3, "mean_abs": 1e-4}
    write_params(Path(), tiny.params_tree(**changes, export__gate=gate))
    judge_dataset("dots")
    ship_extractor("efficientnet_lite0")
    measure_dataset("dots")
    own, other = references("dots", ("efficientnet_lite0",))
    assert [reference.protocol["extractor"] for reference in (own, other)] == ["judge", "effnet"]
    assert other.protocol["resize"] == "bicubic, antialiased, 96×96"
    data = Prepared(prepared)
    assert len(own.real("train")) == len(data.split("train")) > len(data.split("test"))
    assert len(other.real("test")) == len(data.split("test"))
    extractor = Extractor(Path("extractors/efficientnet_lite0"))
    for samples, count in ((50, 50), (10**6, len(data.split("train"))), (3, len(data.split("test")))):
        rows = measured(extractor, data, samples, seed=0)["train_image_features"]
        assert len(rows) == count  # as many as may stand beside them, and there are
    every = extractor.look(np.asarray(data.split("train").images)).features
    assert all(np.isclose(every, row, atol=1e-4).all(axis=1).any() for row in rows)


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
    measure_dataset("dots")
    (reference,), data = references("dots"), Prepared(prepared)
    for name, test in data.split("test").arrays.items():
        seen = reference.see(np.array(test), images=name)
        assert np.array_equal(seen.samples.features, seen.real.features)
        assert seen.real is reference.real("test", name)
        most = max(map(len, data.split("test").arrays.values()))  # of what may be translated into this domain
        count = min(most, len(data.split("train").arrays[name]))
        assert len(reference.floor(1000, images=name).samples) == count


def test_weights_that_were_not_fetched_say_what_to_run(published: EfficientNetLite0, prepared: Path) -> None:
    Path("weights/efficientnet_lite0/weights.safetensors").unlink()
    with pytest.raises(DataError, match="`dvc repro weights@efficientnet_lite0` fetches it"):
        judge_dataset("dots")
    assert not list(Path("judges").iterdir())
