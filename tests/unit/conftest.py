"""What several unit tests share: a folder to work in, params on disk, one exported run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genfoundry.data.prepare import prepare
from genfoundry.export import onnx
from genfoundry.files import sha256_file, write_json
from genfoundry.models import build
from genfoundry.package import package_run
from genfoundry.params import Dataset, validate
from genfoundry.tracking import tracking_uri
from tests.unit import tiny


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder whose params.yaml is valid and whose tracking stays inside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("PYTHONPATH", str(tiny.SOURCE))  # a relative one ends at the new folder
    for name in ("DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    write_params(tmp_path, tiny.params_tree())
    return tmp_path


def write_params(folder: Path, tree: dict[str, Any]) -> Path:
    """JSON is YAML."""
    path = folder / "params.yaml"
    path.write_text(json.dumps(tree, indent=1))
    return path


@pytest.fixture
def params_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a params.yaml with changes to the valid one."""
    return lambda **changes: write_params(tmp_path, tiny.params_tree(**changes))


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`onnx/tiny/` with the graphs of an untrained VAE; read-only by agreement."""
    folder = tmp_path_factory.mktemp("shipped") / "onnx" / "tiny"
    torch.manual_seed(0)
    model = build("vae", tiny.VAE, tiny.DATA).eval()
    for graph in model.graphs():
        onnx.write(graph, folder / f"{graph.name}.onnx", tiny.ABOUT, opset=20)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Raw arrays of two classes that anything can tell apart: dark and bright images."""
    folder = tmp_path / "data" / "raw" / "dots"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 40)):
        labels = np.arange(count, dtype=np.uint8) % 2
        images = rng.integers(0, 100, (count, 8, 8)) + 150 * labels[:, None, None]
        np.save(folder / f"{split}_images.npy", images.astype(np.uint8))
        np.save(folder / f"{split}_labels.npy", labels)
    return folder


@pytest.fixture
def dataset() -> Dataset:
    """The entry of params.yaml that describes `raw`."""
    return validate(Dataset, tiny.params_tree()["datasets"]["dots"])


@pytest.fixture
def prepared(raw: Path, dataset: Dataset) -> Path:
    """`data/prepared/dots/`."""
    folder = raw.parents[1] / "prepared" / "dots"
    prepare("dots", dataset, raw, folder)
    return folder


@pytest.fixture
def checkout(workspace: Path, prepared: Path) -> Path:
    """A folder with the code, params.yaml and data that the train stage reads."""
    for name in ("src", "pipelines"):
        (workspace / name).symlink_to(tiny.SOURCE.parent / name)
    return workspace


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sqlite store whose tables are made, which takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    code = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()"
    tiny.python("-c", code, f"sqlite:///{folder / 'mlflow.db'}", cwd=folder)
    return folder / "mlflow.db"


@pytest.fixture
def store(workspace: Path, empty_store: Path) -> Any:
    """An MLflow client on a store of this test's own."""
    from mlflow import MlflowClient

    shutil.copy(empty_store, workspace / "mlflow.db")
    return MlflowClient(tracking_uri())


SCORES = {"fid": {"value": 3.0, "baseline": 9.0, "floor": 1.0}, "mse": {"value": 0.01, "baseline": 0.02}}

VARIANTS = {
    "fp16": {
        **{"ships": True, "why": "", "graph": "generate", "score": "fid", "value": 3.5, "file_sha256": "f" * 64},
        **{"bytes": 512, "share": 0.51, "change": 0.5, "change_stderr": 0.1, "lost": 0.01, "without": {}},
    },
    "int8": {"ships": False, "why": "max_abs 2 is over 1", "graph": "generate"},
}


@pytest.fixture
def packaged(workspace: Path, shipped: Path) -> Path:
    """`dist/tiny/`, of files whose scores are `SCORES`."""
    shutil.copytree(shipped, "onnx/tiny")
    write_json(Path("metrics/tiny.json"), SCORES)
    words = {
        metric: {
            "better": "lower",
            "task": graph,
            "graph": graph,
            "file_sha256": sha256_file(Path(f"onnx/tiny/{graph}.onnx")),
            "baseline": "PCA",
            "leads": True,
            "n": 100,
        }
        for metric, graph in (("fid", "generate"), ("mse", "reconstruct"))
    }
    write_json(Path("metrics/tiny.protocol.json"), words)
    shutil.copytree(shipped, "onnx/tiny/fp16")
    write_json(Path("metrics/tiny.variants.json"), VARIANTS)
    package_run("tiny")
    return Path("dist/tiny")
