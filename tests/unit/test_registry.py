from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfoundry.files import sha256_file
from genfoundry.params import load
from genfoundry.registry import ALIAS, board_name, leading, names_of, register, score_tags, wins
from genfoundry.report.leaderboard import Row, boards, rows_of
from genfoundry.runtime.artifact import Artifact
from genfoundry.tracking import sync, tracking_uri
from tests.unit import tiny

NAME = "dots.generate"


@pytest.fixture
def registered(store: Any, packaged: Path) -> Any:
    """A client on a registry that has `dist/tiny/`."""
    for made in ("history/tiny.csv", "plots/tiny/pictures.json"):
        Path(made).parent.mkdir(parents=True, exist_ok=True)
        Path(made).touch()
    again()
    return store


def again() -> None:
    sync(10)
    register(load().runs, 10)


def row(**changes: Any) -> Row:
    return replace(next(r for r in rows_of("tiny", load().runs["tiny"]) if r.metric == "fid"), **changes)


def test_each_file_is_a_version_that_says_which(registered: Any) -> None:
    names = {model.name for model in registered.search_registered_models()}
    assert names == {f"dots.{graph}" for graph in ("generate", "encode", "decode", "reconstruct", "restore")}
    (version,) = registered.search_model_versions(f"name = '{NAME}'")
    assert version.tags["sha256"] == sha256_file(Path("dist/tiny/generate.onnx"))
    assert version.tags["run"] == "tiny"
    assert version.tags["identity"] == tiny.ABOUT["identity"]
    assert registered.get_model_version_by_alias(NAME, ALIAS).version == version.version
    assert (version.tags["metric"], version.tags["value"]) == ("fid", "3.0")


def test_the_registered_bytes_are_those_that_were_measured(registered: Any) -> None:
    import mlflow

    version = registered.get_model_version_by_alias(NAME, ALIAS)
    folder = Path(
        mlflow.artifacts.download_artifacts(registered.get_model_version_download_uri(NAME, version.version))
    )
    assert (folder / "model.onnx").read_bytes() == Path("dist/tiny/generate.onnx").read_bytes()
    about = mlflow.models.get_model_info(str(folder))
    assert [(s.name, s.shape) for s in about.signature.inputs] == [("noise", (-1, 3))]
    assert [(s.name, s.shape) for s in about.signature.outputs] == [("image", (-1, *tiny.SHAPE))]
    assert set(about.flavors) == {"onnx", "python_function"}


def test_nothing_is_registered_twice_and_what_was_deleted_stays_so(registered: Any) -> None:
    again()
    assert len(registered.search_model_versions(f"name = '{NAME}'")) == 1
    registered.delete_registered_model(NAME)
    again()
    assert registered.search_model_versions(f"name = '{NAME}'") == []


def test_a_server_s_registry_can_be_lost_and_is_filled_again(registered: Any, empty_store: Path) -> None:
    Path("mlflow.db").write_bytes(empty_store.read_bytes())
    again()
    assert len(registered.search_model_versions(f"name = '{NAME}'")) == 1


@pytest.mark.parametrize(
    ("value", "expected"), [(2.95, False), (2.0, True), (3.5, False)], ids=["within the error", "better", "worse"]
)
def test_only_a_win_outside_the_error_takes_the_title(registered: Any, value: float, expected: bool) -> None:
    champion = score_tags(row(value=3.0, stderr=0.1))
    assert wins(row(value=value, stderr=0.1), champion) == expected


def test_another_protocol_has_no_champion_yet(registered: Any) -> None:
    assert wins(row(n=7, value=30.0), score_tags(row()))


def test_another_network_crowns_only_where_the_judge_saw_nothing(registered: Any) -> None:
    seen = row(metric="kd_effnet", extractor="effnet", extractor_sha256="e" * 64)
    elsewhere = replace(seen, dataset="photos")
    own, other = leading(boards([seen, row(), elsewhere]))
    assert (own.dataset, own.extractor) == ("dots", "")
    assert (other.dataset, other.extractor) == ("photos", "effnet")


@pytest.mark.parametrize(
    ("conditions", "name"),
    [("", "dots.generate"), ("×2", "dots.generate.x2"), ("100 labels", "dots.generate.100-labels")],
)
def test_a_board_has_a_name(conditions: str, name: str) -> None:
    assert board_name("dots", "generate", conditions) == name


def test_a_file_stands_on_the_board_of_each_task() -> None:
    entries = {
        "psnr": {"graph": "restore", "task": "denoise"},
        "mse": {"graph": "restore", "task": "impute", "conditions": "half"},
        "ssim": {"graph": "restore", "task": "denoise"},
    }
    card = {"dataset": "dots", "scores": entries}
    assert names_of(card, "restore") == ["dots.denoise", "dots.impute.half"]
    assert names_of(card, "encode") == ["dots.encode"]


@pytest.fixture
def served(registered: Any) -> Iterator[str]:
    """The address of a real server of the champion."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["models", "serve", "-m", f"models:/{NAME}@{ALIAS}", "--env-manager", "local", "--port", str(port)]
    environment = tiny.environment(
        MLFLOW_TRACKING_URI=tracking_uri(), PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command], env=environment, start_new_session=True
    ) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", server)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(300):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(address, timeout=1) as reply:
                assert reply.status == 200
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")


def test_mlflow_serves_what_is_registered(served: str, packaged: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    body = json.dumps({"inputs": {"noise": noise.tolist()}}).encode()
    request = urllib.request.Request(served, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.loads(reply.read())
    images = np.array(answer["predictions"]["image"], np.float32)
    np.testing.assert_allclose(images, Artifact.load(packaged).graph("generate")(noise=noise), atol=1e-6)
