"""One trainer at a time in a folder, and none without its parent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

SHELLS = {"sh", "bash", "dash", "ash", "busybox", "ksh", "zsh", "fish"}
POLL_S = 0.5
PATIENCE_S = 30.0  # a trainer whose parent was killed is gone long before


class TrainerBusy(RuntimeError):
    """Another process trains in this folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` against a second trainer.

    Raises:
        TrainerBusy: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        raise TrainerBusy(f"another process is training in {folder}; wait for it or stop it") from None
    try:
        yield
    finally:
        lock.release()


def die_with_parent() -> None:
    """Watch whoever started this stage: after a `kill -9` of dvc nothing else would stop the trainer."""
    watched = _starters()
    threading.Thread(target=_watch, args=(watched,), daemon=True, name="parent-watch").start()


def _starters() -> list[psutil.Process]:
    """The parent, and where that is only the shell that dvc starts a stage with, dvc itself."""
    parents = psutil.Process().parents()
    return parents[: 2 if parents and parents[0].name() in SHELLS else 1]


def _watch(starters: list[psutil.Process]) -> None:
    while all(map(_lives, starters)):
        time.sleep(POLL_S)
    os._exit(1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
