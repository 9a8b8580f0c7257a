from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.data.batches import Prepared
from genfoundry.files import read_json, sha256_file
from genfoundry.judge.reference import Reference
from genfoundry.judge.stage import JudgeError, judge_dataset
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
    assert about["sha256"] == reference.sha256 == sha256_file(folder / "classify.onnx")
    seen = reference.see(np.array(data.split("test").images))
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
