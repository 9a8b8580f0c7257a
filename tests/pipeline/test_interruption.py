"""Killed at any moment and run again: the same bits, every point once, and nobody trains on."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import Workspace

pytestmark = [pytest.mark.pipeline, pytest.mark.xdist_group("interruption")]

SETTINGS = {"log_every": 10, "sample_every": 100, "checkpoint_every": 20}
PATIENCE_S = 60.0


def lengthen(workspace: Workspace, steps: int) -> None:
    """No two tests the same number of steps: what one trained, DVC's cache would hand to the other."""
    workspace.keep_only("vae")
    workspace.params(**{"runs.vae.training.steps": steps})
    workspace.params(**{f"runs.vae.training.{key}": value for key, value in SETTINGS.items()})


def wait(condition, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)


def kill_the_trainer(workspace, driver):
    for trainer in workspace.trainers():
        kill(trainer)


def kill_dvc(workspace, driver):
    """dvc and the driver above it; the trainer must notice by itself."""
    for process in [*psutil.Process(driver.pid).children(), psutil.Process(driver.pid)]:
        kill(process)


@pytest.mark.parametrize(("victim", "steps"), [(kill_the_trainer, 500), (kill_dvc, 520)])
def test_killed_three_times_and_finished(built, tmp_path, victim, steps):
    expected = uninterrupted(built, tmp_path / "whole", steps)
    workspace = built.copy(tmp_path / "killed")
    lengthen(workspace, steps)
    for step in (30, 200, 400):
        driver = workspace.start("pipelines/repro.py", "vae")
        wait(lambda step=step: workspace.live_steps("vae") >= step)
        victim(workspace, driver)
        wait(lambda: not workspace.trainers(), seconds=10.0)
        driver.wait(PATIENCE_S)
        assert not (workspace.path / "models/vae").exists()
    done = workspace.repro("vae")
    assert done.returncode == 0
    assert workspace.weights("vae") == expected.weights("vae")
    assert history(workspace) == history(expected)
    points = [(key, e["step"]) for e in workspace.journal("vae") if e["kind"] == "metrics" for key in e["values"]]
    assert len(points) == len(set(points))
    assert {step for _, step in points} == set(range(10, steps + 1, 10))


def test_an_interruption_ends_everything(built, tmp_path):
    """DVC alone would take it for a failed stage and begin the next run."""
    workspace = built.copy(tmp_path / "interrupted")
    workspace.keep_only("vae", "autoencoder")
    for name in ("vae", "autoencoder"):
        workspace.params(**{f"runs.{name}.training.{key}": value for key, value in SETTINGS.items()})
        workspace.params(**{f"runs.{name}.training.steps": 3000})
    driver = workspace.start("pipelines/repro.py")
    wait(workspace.trainers)
    (trainer,) = workspace.trainers()
    wait(lambda: any(workspace.live_steps(name) >= 30 for name in ("vae", "autoencoder")))
    started = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGTERM)  # as a container's stop; an interrupt is the same to it
    assert driver.wait(PATIENCE_S) != 0
    wait(lambda: not workspace.trainers(), seconds=10.0)
    assert not works(trainer)
    wait(lambda: not any(map(works, started)), seconds=30.0)
    assert "interrupted; run the same command" in (workspace.path / "started.log").read_text()


def works(process: psutil.Process) -> bool:
    """Whether it runs still: one that has ended may wait as a zombie for whoever inherited it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def uninterrupted(built: Workspace, target: Path, steps: int) -> Workspace:
    """The same run without DVC, so that its cache cannot hand the result to the other."""
    workspace = built.copy(target)
    lengthen(workspace, steps)
    assert workspace.run("pipelines/train.py", "vae").returncode == 0
    return workspace


def history(workspace: Workspace) -> bytes:
    return (workspace.path / "history/vae.csv").read_bytes()
