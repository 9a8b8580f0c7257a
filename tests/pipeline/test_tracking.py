"""A tracking server that loses its data or dies: the same end state, from the journals."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.pipeline.conftest import Workspace, executed
from tests.pipeline.test_interruption import lengthen, wait

pytestmark = [pytest.mark.pipeline, pytest.mark.xdist_group("tracking")]


RUNS = ("autoencoder", "dcgan", "gan", "vae")


# What follows the journals, `report` and the end of `make repro` each say once that a server is away.
TELLERS = 3


class Server:
    """A real MLflow server that can be killed, emptied and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--serve-artifacts"]
        store += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *store,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait(self._answers)

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Stop, and lose every run."""
        self.kill()
        for file in self.folder.glob("server.db*"):
            file.unlink()

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=1).status == 200
        except OSError:
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "server")
    yield found
    found.kill()


def assert_complete(uri: str, workspace: Workspace, runs: tuple[str, ...]) -> None:
    """One MLflow run for each trained run; each point, image and file of the journals there, none twice."""
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    found = {run.info.run_name: run for run in client.search_runs(experiments)}
    assert Counter(run.info.run_name for run in client.search_runs(experiments)) == Counter(runs)
    for name in runs:
        run, run_id = found[name], found[name].info.run_id
        assert run.info.status == "FINISHED"
        about = workspace.json(f"models/{name}/run.json")
        assert run.data.tags["identity"] == about["identity"]
        assert run.data.tags["dataset"] == about["data"]["dataset"]
        assert run.data.params["training.steps"] == str(about["training"]["steps"])
        entries = [
            e for stage in ("train", "export", "evaluate", "package") for e in workspace.journal(name, stage)
        ]
        points = Counter((k, e["step"]) for e in entries if e["kind"] == "metrics" for k in e["values"])
        keys = {key for key, _ in points}
        there = Counter((key, m.step) for key in keys for m in client.get_metric_history(run_id, key))
        assert there == points
        images = [e for e in entries if e["kind"] == "image"]
        assert len(client.list_artifacts(run_id, "images")) == 2 * len(images)  # each with its thumbnail
        shipped = {Path(item.path).name for item in client.list_artifacts(run_id, "onnx")}
        assert shipped == {path.name for path in (workspace.path / "onnx" / name).glob("*.onnx")}
        score, roles = next(iter(workspace.json(f"metrics/{name}.json").items()))
        assert run.data.metrics[score] == pytest.approx(roles["value"])
        assert run.data.metrics[f"{score}.baseline"] == pytest.approx(roles["baseline"])


def test_a_lost_store_is_filled_again_without_training(workspace, server):
    server.start()
    assert executed(workspace.repro(MLFLOW_TRACKING_URI=server.uri)) == set()
    assert_complete(server.uri, workspace, RUNS)
    server.forget()
    server.start()
    assert executed(workspace.repro(MLFLOW_TRACKING_URI=server.uri)) == set()
    assert_complete(server.uri, workspace, RUNS)
    workspace.repro(MLFLOW_TRACKING_URI=server.uri)
    assert_complete(server.uri, workspace, RUNS)


def test_a_server_killed_in_mid_training(workspace, server):
    lengthen(workspace, 540)
    server.start()
    driver = workspace.start("pipelines/repro.py", "vae", MLFLOW_TRACKING_URI=server.uri)
    wait(lambda: workspace.live_steps("vae") >= 100)
    server.kill()
    assert driver.wait(120.0) == 0
    told = (workspace.path / "started.log").read_text()
    assert 1 <= told.count("does not answer") <= TELLERS
    server.start()
    start = time.monotonic()
    assert executed(workspace.repro("vae", MLFLOW_TRACKING_URI=server.uri)) <= {"report"}
    assert time.monotonic() - start < 60.0
    assert_complete(server.uri, workspace, RUNS)


def test_a_server_that_was_never_there(workspace):
    workspace.keep_only("vae")
    workspace.params(**{"runs.vae.training.steps": 80})
    done = workspace.repro("vae", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stderr.count("does not answer") == TELLERS
