from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from genfoundry.journal import CHECKPOINTS
from genfoundry.params import Params, ParamsError, load, read, write
from genfoundry.rebuild import dvc
from genfoundry.workspace import (
    START_BATCH,
    folders_stamp,
    make_clone,
    merged,
    profile,
    refetch,
    repro,
    run_profile,
    shorten,
)
from tests.unit import tiny
from tests.unit.conftest import write_params
from tests.unit.data.made import write_pictures

NAMED = ["-c", "user.name=someone", "-c", "user.email=someone@example.com"]
BASE = """\
seed: 0
datasets:
  dots: {classes: ["0", "1"], limit: 5, sha256: {train_images: 12e5}}
runs:
  one: {lr: 1e-3, training: {steps: 100, betas: [0.5, 0.9]}}
  two: {training: {steps: 200}}
"""


def written(folder: Path, base: str, changes: str) -> dict:
    """The merge of two files as a third would be read."""
    (folder / "base.yaml").write_text(base)
    (folder / "changes.yaml").write_text(changes)
    write(merged(read(folder / "base.yaml"), read(folder / "changes.yaml")), folder / "merged.yaml")
    return read(folder / "merged.yaml")


def test_merge_changes_the_named_leaves_and_keeps_the_rest(tmp_path: Path) -> None:
    found = written(tmp_path, BASE, "runs:\n  one: {training: {steps: 7, betas: [0.1]}}\nnew: {key: 1e-2}\n")
    expected = read(tmp_path / "base.yaml")
    expected["runs"]["one"]["training"] = {"steps": 7, "betas": [0.1]}
    expected["new"] = {"key": 1e-2}
    assert found == expected
    assert found["datasets"]["dots"]["classes"] == ["0", "1"]


@pytest.mark.parametrize("word", ["no", "on", "010", "1:30"])
def test_merge_reads_scalars_as_the_pipeline_does(tmp_path: Path, word: str) -> None:
    assert written(tmp_path, f"word: {word}\n", "other: 1\n")["word"] == read(tmp_path / "base.yaml")["word"]


def test_a_profile_may_stand_on_another(workspace: Path) -> None:
    Path("profiles").mkdir()
    Path("profiles/long.yaml").write_text("runs: {tiny: {training: {steps: 90, batch_size: 4}}}\n")
    Path("profiles/longer.yaml").write_text("on: long\nruns: {tiny: {training: {steps: 900}}}\n")
    training = profile("longer")["runs"]["tiny"]["training"]
    assert (training["steps"], training["batch_size"]) == (900, 4)
    assert training["optimizers"] == read(Path("params.yaml"))["runs"]["tiny"]["training"]["optimizers"]


def test_an_unknown_profile_is_named_with_those_there_are(workspace: Path) -> None:
    Path("profiles").mkdir()
    Path("profiles/smoke.yaml").write_text("")
    with pytest.raises(ParamsError, match=r"there is no profiles/smok\.yaml; there are smoke"):
        run_profile("smok")
    assert not Path("build").exists()


def test_a_clone_made_again_keeps_the_checkpoints_alone(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("")
    for command in (["init", "--quiet"], ["add", "--all"], [*NAMED, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *command], check=True)
    clone = tmp_path_factory.mktemp("clones") / "long"
    make_clone(clone)
    (clone / "stale").touch()
    (clone / CHECKPOINTS).mkdir()
    (clone / CHECKPOINTS / "state").write_text("step 7")
    make_clone(clone)
    assert (clone / CHECKPOINTS / "state").read_text() == "step 7"
    assert not (clone / "stale").exists()
    assert [path.name for path in clone.parent.iterdir()] == ["long"]


def test_a_shortened_run_keeps_all_but_its_length(workspace: Path) -> None:
    before = read(Path("params.yaml"))
    shorten(Path("params.yaml"), 6)
    after = read(Path("params.yaml"))
    training = after["runs"]["tiny"]["training"]
    assert load().runs["tiny"].training.steps == 6
    assert load().export.gate.batches == (1, 2)
    assert training["batch_size"] == min(START_BATCH, before["runs"]["tiny"]["training"]["batch_size"])
    assert training["optimizers"] == before["runs"]["tiny"]["training"]["optimizers"]
    assert {**after["runs"]["tiny"], "training": None} == {**before["runs"]["tiny"], "training": None}


def test_an_unknown_run_is_named_before_anything_starts(workspace: Path) -> None:
    with pytest.raises(ParamsError, match=r"there is no tyni, other in params\.yaml, which has tiny"):
        repro(["tyni", "tiny", "other"])
    assert [p.name for p in workspace.iterdir()] == ["params.yaml"]


FETCH = """\
stages:
  fetch:
    foreach: ${datasets}
    do:
      cmd: python pipelines/fetch.py ${key}
      params: ["datasets.${key}.sources", "datasets.${key}.sha256"]
      outs: ["data/raw/${key}"]
"""


@pytest.fixture
def with_folder(workspace: Path) -> Params:
    """A working folder with DVC, a folder of images, and nothing but the stage that fetches it."""
    entry = {"sources": [{"kind": "folder", "path": "own"}], "sha256": {}, "shape": [3, 8, 8], "licence": "mine"}
    tree = tiny.params_tree(datasets={"own": {**entry, "judge": tiny.EFFNET}}, runs__tiny__data__dataset="own")
    write_params(workspace, tree)
    write_pictures(workspace / "own", ["a.png", "b.png"])
    (workspace / "dvc.yaml").write_text(FETCH)
    (workspace / "pipelines").symlink_to(tiny.SOURCE.parent / "pipelines")
    assert dvc("init", "--quiet", "--no-scm") == 0
    return load()


def test_a_folder_that_changed_is_fetched_again(
    workspace: Path, with_folder: Params, capfd: pytest.CaptureFixture[str]
) -> None:
    refetch(with_folder)
    copied = workspace / "data/raw/own/all/images"
    assert sorted(path.name for path in copied.iterdir()) == ["a.png", "b.png"]
    capfd.readouterr()
    refetch(with_folder)
    assert "Running stage" not in capfd.readouterr().out
    write_pictures(workspace / "own", ["c.png"], start=5)
    (workspace / "own/a.png").unlink()
    refetch(with_folder)
    assert "own: its folder is new or has changed" in capfd.readouterr().out
    assert sorted(path.name for path in copied.iterdir()) == ["b.png", "c.png"]


def test_a_folder_that_is_gone_or_pinned_is_not_watched(workspace: Path, with_folder: Params) -> None:
    dataset = with_folder.datasets["own"]
    assert folders_stamp(dataset)
    assert not folders_stamp(dataset.model_copy(update={"sha256": {"tree": "0" * 64}}))
    (workspace / "own").rename(workspace / "away")
    assert not folders_stamp(dataset)


DEAF = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_an_interruption_ends_what_was_started_even_if_that_knows_of_none(tmp_path: Path) -> None:
    """DVC does not, while a stage runs."""
    (tmp_path / "deaf.py").write_text(DEAF)
    code = "import sys; from genfoundry import rebuild, stages; stages.stage(rebuild.python, sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "deaf.py")]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout
    child = psutil.Process(int(started.stdout.readline()))
    started.send_signal(signal.SIGTERM)  # as an interrupt, which jobs in the background are deaf to themselves
    _, said = started.communicate(timeout=30.0)
    assert "interrupted" in said
    assert not child.is_running()
