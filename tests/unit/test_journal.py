from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from genfoundry.files import sha256
from genfoundry.journal import Journal, entries, git_state, history_csv, home, mend, recording
from genfoundry.params import Tracking

OFF = Tracking(enabled=False)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_call_is_a_line_on_disk_at_once(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w")
    path = tmp_path / "deep" / "train.jsonl"
    journal = Journal(path)
    journal.tags({"run": "tiny"})
    journal.params({"a.b": 1e-3, "c": [1]})
    journal.metrics(2, {"loss": 0.5})
    journal.image("samples/generate", 2, b"png")
    journal.file(tmp_path / "weights", "weights")
    journal.end("FINISHED")
    found = lines(path)
    assert [entry["kind"] for entry in found] == ["tags", "params", "metrics", "image", "file", "end"]
    assert found[1]["values"] == {"a.b": "0.001", "c": "[1]"}
    assert found[4]["sha256"] == sha256(b"w")
    assert all(isinstance(entry["t"], int) for entry in found)
    journal.close()


def test_a_resumed_journal_writes_no_point_or_image_twice(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    for loss in (1.0, 2.0):
        journal = Journal(path)
        for _ in range(2):
            journal.metrics(1, {"loss": loss})
            journal.image("samples", 1, b"one")
        journal.close()
    journal = Journal(path)
    journal.metrics(1, {"loss": 3.0, "other": 4.0})
    journal.metrics(2, {"loss": 5.0})
    journal.image("samples", 2, b"two")
    journal.close()
    points = [(e["step"], e["values"]) for e in lines(path) if e["kind"] == "metrics"]
    assert points == [(1, {"loss": 1.0}), (1, {"other": 4.0}), (2, {"loss": 5.0})]
    assert [e["step"] for e in lines(path) if e["kind"] == "image"] == [1, 2]


def test_a_torn_last_line_is_cut_and_its_point_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    journal = Journal(path)
    journal.metrics(1, {"loss": 1.0})
    journal.metrics(2, {"loss": 2.0})
    journal.close()
    path.write_bytes(path.read_bytes()[:-7])
    journal = Journal(path)
    journal.metrics(1, {"loss": 9.0})
    journal.metrics(2, {"loss": 2.5})
    journal.close()
    assert [(e["step"], e["values"]["loss"]) for e in lines(path)] == [(1, 1.0), (2, 2.5)]


@pytest.mark.parametrize("content", [b"", b'{"kind": "en'])
def test_a_journal_without_a_whole_line_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    assert list(entries(content)) == mend(path) == []
    assert path.read_bytes() == b""


def history(tmp_path: Path, order: int = 1) -> Path:
    path = tmp_path / f"{order}.jsonl"
    journal = Journal(path)
    for step in (2, 10)[::order]:
        journal.metrics(step, {"g/loss": step / 3, "d/loss": 1e-30, "system/cpu": 50.0 * order})
    journal.image("samples", 2, b"png")
    journal.close()
    return path


def test_history_is_every_point_but_the_system_s_exactly(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(history_csv(history(tmp_path)).decode())))
    assert [(int(r["step"]), r["term"], float(r["value"])) for r in rows] == [
        (2, "d/loss", 1e-30),
        (2, "g/loss", 2 / 3),
        (10, "d/loss", 1e-30),
        (10, "g/loss", 10 / 3),
    ]


def test_history_does_not_depend_on_the_clock_or_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = history_csv(history(tmp_path))
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert history_csv(history(tmp_path, order=-1)) == first


def test_recording_copies_the_journal_on_success(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "stages/train/dvc.yaml:train@tiny")
    with recording("tiny", "train", experiment="dots", identity="f" * 64, tracking=OFF) as journal:
        journal.metrics(1, {"loss": 1.0})
        assert not Path("journal/tiny/train.jsonl").exists()
    live = home("tiny", "f" * 64) / "train.jsonl"
    assert live.read_bytes() == Path("journal/tiny/train.jsonl").read_bytes()
    first, *_, last = lines(live)
    assert first["values"].items() >= {"run": "tiny", "experiment": "dots", "identity": "f" * 64}.items()
    assert first["values"]["dvc.stage"] == "train@tiny"
    assert (last["kind"], last["status"]) == ("end", "FINISHED")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_recording_keeps_a_failure_to_itself(workspace: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with recording("tiny", "train", experiment="dots", identity="f" * 64, tracking=OFF) as journal:
            journal.metrics(1, {"loss": 1.0})
            raise error

    with pytest.raises(error):
        fail()
    assert lines(home("tiny", "f" * 64) / "train.jsonl")[-1]["status"] == "FAILED"
    assert not Path("journal").exists()


@pytest.mark.parametrize("resume", [True, False])
def test_recording_goes_on_only_where_it_resumes(workspace: Path, resume: bool) -> None:
    for loss in (1.0, 2.0):
        with recording(
            "tiny", "train", experiment="dots", identity="f" * 64, tracking=OFF, resume=resume
        ) as journal:
            journal.metrics(1, {"loss": loss})
    found = [e["values"]["loss"] for e in lines(Path("journal/tiny/train.jsonl")) if e["kind"] == "metrics"]
    assert found == ([1.0] if resume else [2.0])


def test_identities_have_journals_of_their_own() -> None:
    assert home("tiny", "a" * 64) != home("tiny", "b" * 64)


def test_a_point_that_is_not_finite_survives(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.metrics(1, {"kl": math.inf})
    journal.close()
    assert mend(tmp_path / "j.jsonl")[0]["values"] == {"kl": math.inf}


def test_git_state_ignores_what_the_pipeline_writes(workspace: Path) -> None:
    import subprocess

    assert git_state() == {"git.commit": "", "git.dirty": ""}
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = git_state()
    assert len(clean["git.commit"]) == 40
    assert clean["git.dirty"] == "false"
    for name in ("dvc.lock", "stages/train/dvc.lock", "metrics/tiny.json", "reports/leaderboard.csv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("written by a stage")
    assert git_state() == clean
    Path("params.yaml").write_text("seed: 1\n")
    assert git_state() == {**clean, "git.dirty": "true"}
