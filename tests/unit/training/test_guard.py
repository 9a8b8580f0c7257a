from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from genfoundry.training import guard
from genfoundry.training.guard import TrainerBusy, _lives, exclusive
from tests.unit import tiny

HOLD = """
import sys, time
from pathlib import Path
from genfoundry.training.guard import exclusive
with exclusive(Path("folder")):
    print("held", flush=True)
    time.sleep(60)
"""
CHILD = """
import os, time
from genfoundry.training.guard import die_with_parent
die_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys
command = [sys.executable, "child.py"]
if sys.argv[1] == "shell":
    subprocess.run(f"{sys.executable} child.py; true", shell=True)
else:
    subprocess.run(command)
"""


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=tiny.environment(), stdout=subprocess.PIPE, text=True
    )


def test_a_second_trainer_is_refused_until_the_first_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE_S", 0.3)
    first = start(tmp_path, "-c", HOLD)
    try:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(TrainerBusy, match=r"another process is training in .*folder"),
            exclusive(tmp_path / "folder"),
        ):
            pass
    finally:
        first.kill()
        first.wait()
    with exclusive(tmp_path / "folder"):
        pass


def test_the_folder_is_free_again_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE_S", 0.3)
    for _ in range(2):
        with exclusive(tmp_path / "new" / "folder"):
            pass


def test_the_folder_is_free_again_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE_S", 0.3)
    with pytest.raises(ZeroDivisionError) as kept, exclusive(tmp_path):
        _ = 1 / 0
    with exclusive(tmp_path):
        pass
    assert kept.value


@pytest.mark.parametrize("by", ["directly", "shell"])
def test_a_trainer_dies_with_the_process_that_started_it(tmp_path: Path, by: str) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    parent = start(tmp_path, "-c", PARENT, by)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    assert (len(child.parents()) >= 2 and child.parents()[1].pid == parent.pid) is (by == "shell")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 15
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.05)
    alive = child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    if alive:
        child.kill()
    assert not alive


def test_a_parent_that_ends_between_two_questions_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    parent = psutil.Process(ended.pid)
    ended.wait()
    monkeypatch.setattr(psutil.Process, "is_running", lambda _: True)  # the answer of a moment ago
    assert not _lives(parent)
    assert _lives(psutil.Process())
