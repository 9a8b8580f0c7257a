from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from genfoundry.files import sha256
from genfoundry.journal import FOLLOWED, Journal, followed, recording
from genfoundry.params import Tracking
from genfoundry.pictures import png
from genfoundry.tracking import Mirror, main_checkout, sync, tracking_uri
from tests.unit import tiny
from tests.unit.conftest import write_params

IDENTITY = "f" * 64
PNG = png(np.arange(64, dtype=np.uint8).reshape(8, 8, 1))


def write_journal(stage: str = "train", *, end: str | None = "FINISHED", steps: int = 3) -> Path:
    """A stage's journal as `recording` would leave it, with a point, an image and a file each."""
    path = Path("journal/tiny") / f"{stage}.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    journal.tags({"run": "tiny", "experiment": "dots", "identity": IDENTITY, "git.commit": "c" * 40})
    journal.params({"seed": 0, "training.steps": steps})
    for step in range(1, steps + 1):
        journal.metrics(step, {f"{stage}/loss": 1 / step, "kl": 0.0})
    journal.image(f"samples/{stage}", steps, PNG)
    Path("weights.bin").write_bytes(b"weights")
    journal.file(Path("weights.bin"), "onnx")
    if end:
        journal.end(end)
    journal.close()
    return path


def content(client: Any) -> dict[str, Any]:
    """All that MLflow has of the one run."""
    (experiment,) = client.search_experiments(filter_string="name = 'dots'")
    (run,) = client.search_runs([experiment.experiment_id])
    run_id = run.info.run_id
    return {
        "status": run.info.status,
        "params": run.data.params,
        "tags": run.data.tags,
        "points": {
            key: [(p.step, p.value, p.timestamp) for p in client.get_metric_history(run_id, key)]
            for key in run.data.metrics
        },
        "files": sorted(
            item.path for folder in ("images", "onnx") for item in client.list_artifacts(run_id, folder)
        ),
    }


def test_replay_brings_everything_once_however_often(store: Any) -> None:
    journal = write_journal()
    Mirror(10).replay(journal)
    first = content(store)
    assert first["status"] == "FINISHED"
    assert first["params"] == {"seed": "0", "training.steps": "3"}
    assert first["tags"]["mlflow.source.git.commit"] == "c" * 40
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    written = [line for line in lines if line["kind"] == "metrics"]
    assert first["points"]["train/loss"] == [(e["step"], e["values"]["train/loss"], e["t"]) for e in written]
    assert [Path(name).suffix for name in first["files"]] == [".webp", ".png", ".bin"]
    # The marker that skips the work, away: now the second replay must find each thing there by itself.
    (run,) = store.search_runs([store.get_experiment_by_name("dots").experiment_id])
    store.delete_tag(run.info.run_id, "journal.train")
    Mirror(10).replay(journal)
    sync(10)
    assert content(store) == first


def test_stages_of_one_identity_join_one_run(store: Any) -> None:
    write_journal("train")
    time.sleep(0.01)
    write_journal("evaluate", steps=1)
    sync(10)
    found = content(store)
    assert {"train/loss", "evaluate/loss"} <= set(found["points"])
    assert sum(name.endswith(".png") for name in found["files"]) == 2
    assert sum(name.endswith(".bin") for name in found["files"]) == 1
    # The first stage's value stands: a logged param cannot change.
    assert found["params"]["training.steps"] == "3"


def test_images_are_the_png_and_bear_log_image_s_name(store: Any) -> None:
    Mirror(10).replay(write_journal())
    (run,) = store.search_runs([store.get_experiment_by_name("dots").experiment_id])
    (name,) = [f for f in content(store)["files"] if f.endswith(".png")]
    assert name.startswith("images/samples~train+step+3+timestamp+")
    assert Path(store.download_artifacts(run.info.run_id, name)).read_bytes() == PNG


def test_a_file_that_changed_since_is_not_sent(store: Any) -> None:
    journal = write_journal()
    Path("weights.bin").write_bytes(b"others")
    Mirror(10).replay(journal)
    assert not [name for name in content(store)["files"] if name.endswith(".bin")]


@pytest.mark.parametrize("deleted", ["run", "experiment"])
def test_what_the_user_deleted_stays_deleted(store: Any, deleted: str) -> None:
    from mlflow.entities import ViewType

    journal = write_journal()
    Mirror(10).replay(journal)
    experiment = store.get_experiment_by_name("dots").experiment_id
    (run,) = store.search_runs([experiment])
    if deleted == "run":
        store.delete_run(run.info.run_id)
    else:
        store.delete_experiment(experiment)
    Mirror(10).replay(journal)
    sync(10)
    assert store.search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY) == []
    assert len(store.search_experiments(view_type=ViewType.ALL, filter_string="name = 'dots'")) == 1


def test_a_resumed_stage_adds_params_and_changes_none(store: Any) -> None:
    mirror = Mirror(10)
    tags = {"kind": "tags", "t": 1, "values": {"run": "tiny", "experiment": "dots", "identity": IDENTITY}}
    run_id = mirror.run_of([tags])
    for values in ({"a": "1"}, {"a": "2", "b": "3"}):
        mirror.apply(run_id, [tags, {"kind": "params", "t": 2, "values": values}])
    found = content(store)
    assert found["params"] == {"a": "1", "b": "3"}
    assert found["status"] == "RUNNING"


def test_another_identity_is_another_run(store: Any) -> None:
    mirror = Mirror(10)
    ids = {
        mirror.run_of(
            [{"kind": "tags", "t": 1, "values": {"run": run, "experiment": "dots", "identity": identity}}]
        )
        for run, identity in (("tiny", "a"), ("tiny", "b"), ("other", "a"), ("tiny", "a"))
    }
    assert len(ids) == 3


@pytest.mark.parametrize(("experiment", "title"), [("", "tiny"), ("beta-4", "tiny (beta-4)")])
def test_a_dvc_experiment_has_its_name_beside_the_run_s(store: Any, experiment: str, title: str) -> None:
    tags = {"run": "tiny", "experiment": "dots", "identity": IDENTITY, "dvc.experiment": experiment}
    run_id = Mirror(10).run_of([{"kind": "tags", "t": 1, "values": tags}])
    assert store.get_run(run_id).info.run_name == title


def test_a_failed_stage_is_a_failed_run(store: Any) -> None:
    Mirror(10).replay(write_journal(end="FAILED"))
    assert content(store)["status"] == "FAILED"


def test_without_journals_nothing_is_asked(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    sync(1)


@pytest.mark.parametrize(
    ("here", "owner"),
    [
        ("project", "project"),
        ("project/.dvc/tmp/exps/tmpabc", "project"),
        ("project/.dvc/tmp/exps/tmpabc/build/smoke", "project"),
        ("project/build/smoke", "project/build/smoke"),
    ],
)
def test_the_main_checkout_owns_temporary_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, owner: str
) -> None:
    (tmp_path / here).mkdir(parents=True)
    assert main_checkout(tmp_path / here) == (tmp_path / owner).resolve()
    monkeypatch.chdir(tmp_path / here)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == f"sqlite:///{(tmp_path / owner).resolve()}/mlflow.db"


def test_the_environment_s_uri_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri() == "http://tracker:5000"


def test_the_local_store_keeps_artifacts_in_the_main_checkout(
    workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = workspace / ".dvc/tmp/exps/tmpabc"
    temporary.mkdir(parents=True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(temporary)
    shutil.copy(empty_store, workspace / "mlflow.db")
    Mirror(10).replay(write_journal())
    assert len(list((workspace / "mlartifacts").rglob("*.png"))) == 1
    assert not list(temporary.rglob("*.db"))


SLOW = {"poll_seconds": 0.1, "timeout_seconds": 2.0, "retry_seconds": 0.2, "drain_seconds": 60.0}


def test_a_stage_streams_its_journal_to_mlflow(store: Any, capfd: pytest.CaptureFixture[str]) -> None:
    write_params(Path(), tiny.params_tree(tracking={"enabled": True, **SLOW}))
    with recording("tiny", "train", experiment="dots", identity=IDENTITY, tracking=Tracking(**SLOW)) as journal:
        journal.params({"seed": 0})
        journal.metrics(1, {"loss": 0.5})
        journal.image("samples/generate", 1, PNG)
    found = content(store)
    assert found["status"] == "FINISHED"
    assert [(step, value) for step, value, _ in found["points"]["loss"]] == [(1, 0.5)]
    assert found["tags"]["journal.train"] == sha256(Path("journal/tiny/train.jsonl").read_bytes())
    assert "does not answer" not in capfd.readouterr().err


KILLED = """
import os
from genfoundry.journal import recording
from genfoundry.params import load
with recording("tiny", "train", experiment="dots", identity="f" * 64, tracking=load().tracking) as journal:
    journal.metrics(1, {"loss": 0.5})
    os.kill(os.getpid(), 9)
"""


def test_a_killed_stage_ends_as_failed(store: Any) -> None:
    write_params(Path(), tiny.params_tree(tracking={"enabled": True, **SLOW}))
    killed = tiny.python("-c", KILLED, cwd=Path(), check=False)  # returns when the follower, its heir, has ended
    assert killed.returncode == -signal.SIGKILL
    assert content(store)["status"] == "FAILED"
    assert content(store)["points"]["loss"][0][:2] == (1, 0.5)


def test_a_server_that_is_away_is_told_of_once_and_costs_little(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free.getsockname()[1]}")
    write_params(workspace, tiny.params_tree(tracking={"enabled": True, **SLOW}))
    with recording("tiny", "train", experiment="dots", identity=IDENTITY, tracking=Tracking(**SLOW)) as journal:
        journal.metrics(1, {"loss": 0.5})
        said, end = "", time.monotonic() + 30
        while "does not answer" not in said and time.monotonic() < end:
            time.sleep(0.1)
            said += capfd.readouterr().err
        time.sleep(1.0)  # several more tries
        journal.metrics(2, {"loss": 0.4})
        start = time.monotonic()
    assert time.monotonic() - start < 15
    said += capfd.readouterr().err
    assert said.count("does not answer") == 1
    assert "The work goes on" in said
    assert json.loads(Path("journal/tiny/train.jsonl").read_text().splitlines()[-1])["status"] == "FINISHED"


def test_one_process_follows_all_stages(store: Any) -> None:
    """And those start none of their own."""
    write_params(Path(), tiny.params_tree(tracking={"enabled": True, **SLOW}))
    tracking = Tracking(**SLOW)
    with followed(tracking):
        assert os.environ[FOLLOWED]
        for stage, value in (("train", 0.5), ("evaluate", 0.25)):
            with recording("tiny", stage, experiment="dots", identity=IDENTITY, tracking=tracking) as journal:
                journal.metrics(1, {stage: value})
                assert not psutil.Process().children()[1:]
    assert FOLLOWED not in os.environ
    found = content(store)
    points = {key: points[0][:2] for key, points in found["points"].items()}
    assert points == {"train": (1, 0.5), "evaluate": (1, 0.25)}
    for stage in ("train", "evaluate"):
        assert found["tags"][f"journal.{stage}"] == sha256(Path(f"journal/tiny/{stage}.jsonl").read_bytes())
