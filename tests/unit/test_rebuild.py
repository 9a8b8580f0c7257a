from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from genfoundry import rebuild as module
from genfoundry.rebuild import dvc, places, rebuild

# Each half waits for the other, so that they end only side by side; `sum` needs both, `alone` nothing.
STAGES = """\
stages:
  left: {cmd: "python meet.py left right", deps: [meet.py, input], outs: [left]}
  right: {cmd: "python meet.py right left", deps: [meet.py], outs: [right]}
  sum: {cmd: cat left right > sum, deps: [left, right], outs: [sum]}
  alone: {cmd: echo 1 > alone, outs: [alone]}
  all: {cmd: cat sum alone > all, deps: [sum, alone], outs: [all]}
"""
MEET = """\
import sys, time
from pathlib import Path
mine, other = sys.argv[1:]
Path(f"begun-{mine}").write_text("")
end = time.monotonic() + 30
while not Path(f"begun-{other}").exists():
    if time.monotonic() > end:
        sys.exit("nobody came")
    time.sleep(0.05)
if Path(f"fail-{mine}").exists():
    sys.exit("it fails")
Path(mine).write_text(Path("input").read_text())
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of five stages, the working directory."""
    monkeypatch.chdir(tmp_path)
    for file, text in {"dvc.yaml": STAGES, "meet.py": MEET, "input": "1"}.items():
        Path(file).write_text(text)
    assert dvc("init", "--quiet", "--no-scm") == 0
    return tmp_path


def ran(said: str) -> list[str]:
    """Stages whose command DVC ran."""
    return [line.split("'")[1] for line in said.splitlines() if "Running stage '" in line]


def test_stages_that_need_nothing_of_each_other_run_side_by_side(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert rebuild(["all"], jobs=2) == 0
    said = capfd.readouterr().out
    assert sorted(ran(said)) == ["all", "alone", "left", "right", "sum"]
    assert Path("all").read_text() == "111\n"
    assert all(f"{name:26} | done after" in said for name in ran(said))
    assert "git add" not in said

    assert rebuild(["all"], jobs=2) == 0
    assert capfd.readouterr().out == "Data and pipelines are up to date.\n"
    assert dvc("repro", "all") == 0
    assert ran(capfd.readouterr().out) == []


def test_one_at_a_time_leaves_what_several_do(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rebuild(["all"], jobs=2) == 0
    side_by_side = Path("dvc.lock").read_text()
    for path in ("dvc.lock", "all", "left", "right"):
        Path(path).unlink()
    assert rebuild(["all"], jobs=1) == 0
    assert Path("dvc.lock").read_text().split("\n  ").sort() == side_by_side.split("\n  ").sort()


def test_only_what_hangs_on_a_change_runs_again(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rebuild(["all"], jobs=2) == 0
    capfd.readouterr()
    Path("input").write_text("2")
    assert rebuild(["sum"], jobs=2) == 0
    assert ran(capfd.readouterr().out) == ["left", "sum"]


def test_a_failure_skips_what_needs_it_and_nothing_else(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("fail-left").write_text("")
    assert rebuild(["all"], jobs=2) == 1
    told = capfd.readouterr()
    assert "left                       | it fails" in told.err
    assert "ERROR: left failed; skipped, because they depend on it: sum, all" in told.err
    assert Path("alone").exists()
    assert Path("right").exists()
    assert not Path("sum").exists()
    Path("fail-left").unlink()
    assert rebuild(["all"], jobs=2) == 0


def test_an_unknown_target_is_a_line(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rebuild(["nonsense"], jobs=1) == 1
    assert capfd.readouterr().err.startswith("ERROR: ")


def test_an_interruption_ends_all_that_runs(project: Path) -> None:
    Path("meet.py").write_text("import time; time.sleep(60)")
    code = "from genfoundry import rebuild, stages; stages.stage(lambda: rebuild.rebuild(['all'], 2))"
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    family = psutil.Process(started.pid)
    end = time.monotonic() + 60.0
    while sum("meet.py" in child.cmdline() for child in family.children(recursive=True)) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    children = family.children(recursive=True)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=30.0)
    assert "interrupted" in said
    psutil.wait_procs(children, timeout=10.0)
    assert not any(child.is_running() for child in children)


def test_there_is_always_room_for_one() -> None:
    assert places(10_000) == 1
    assert 1 <= places(1) <= (os.cpu_count() or 1)
