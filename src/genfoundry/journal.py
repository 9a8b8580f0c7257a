"""The journal: what a stage did, one JSON line at a time, on disk whatever becomes of the tracking server.

While a stage runs its journal lies in `.checkpoints/`; when it ends, it is copied to
`journal/<run>/<stage>.jsonl`. `tracking.py` reads it, live or later; nothing here knows MLflow.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genfoundry.files import sha256_file, write_atomic
from genfoundry.params import Tracking

CHECKPOINTS = Path(".checkpoints")
JOURNALS = Path("journal")
FOLLOWED = "GENFOUNDRY_FOLLOWED"  # in the environment of stages: since when all journals are followed, if they are
SYSTEM = "system/"  # timings and loads: in the journal, never in the history


class Journal:
    """Append-only and torn-line safe: a point that stands in it already is not written again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._seen = {key for entry in mend(path) for key in _keys(entry)}
        self._stream = path.open("a", encoding="utf-8")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Points of one step."""
        fresh = {key: value for key, value in values.items() if (key, step) not in self._seen}
        if fresh:
            self._write("metrics", step=step, values=fresh)

    def image(self, key: str, step: int, png: bytes) -> None:
        """A picture of one step."""
        if (f"image:{key}", step) not in self._seen:
            self._write("image", key=key, step=step, png=base64.b64encode(png).decode())

    def params(self, values: Mapping[str, Any]) -> None:
        """The resolved parameters, under dotted names."""
        self._write("params", values={key: str(value) for key, value in values.items()})

    def tags(self, values: Mapping[str, str]) -> None:
        """Labels; a later value replaces an earlier one."""
        self._write("tags", values=dict(values))

    def file(self, path: Path, folder: str) -> None:
        """A file of the workspace that belongs to the run, by path and content hash."""
        self._write("file", path=path.as_posix(), folder=folder, sha256=sha256_file(path))

    def end(self, status: str) -> None:
        """The last line: FINISHED or FAILED."""
        self._write("end", status=status)

    def close(self) -> None:
        """On disk for good."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def _write(self, kind: str, **fields: Any) -> None:
        entry = {"kind": kind, "t": int(time.time() * 1000), **fields}
        self._seen.update(_keys(entry))
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())  # before the checkpoint that implies it


def entries(content: bytes) -> Iterator[dict[str, Any]]:
    """Whole lines only: the last one may be in the middle of being written."""
    for line in content.split(b"\n")[:-1]:
        yield json.loads(line)


def mend(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal; a line torn by a crash is cut off the file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return list(entries(whole))


def history_csv(path: Path) -> bytes:
    """Every point but the system's as `step,term,value` lines without timings: the same run, the same bytes."""
    points = [
        (entry["step"], key, repr(value))
        for entry in mend(path)
        if entry["kind"] == "metrics"
        for key, value in entry["values"].items()
        if not key.startswith(SYSTEM)
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["step", "term", "value"])
    writer.writerows(sorted(points))
    return table.getvalue().encode()


@contextmanager
def recording(
    run: str, stage: str, *, experiment: str, identity: str, tracking: Tracking | None = None, resume: bool = False
) -> Iterator[Journal]:
    """A stage's journal; with `tracking`, streamed to MLflow by a process of its own. See `followed`.

    It starts empty, or with `resume` where an earlier try left off. Where the stage ends well, it is copied to
    its place among the outputs; the original stays, for the case that DVC is killed before it has stored them.
    """
    path = home(run, identity) / f"{stage}.jsonl"
    if not resume:
        path.unlink(missing_ok=True)
    journal = Journal(path)
    journal.tags(
        {
            "run": run,
            "experiment": experiment,
            "identity": identity,
            "dvc.stage": os.environ.get("DVC_STAGE", f"{stage}@{run}").rpartition(":")[2],
            "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
            **git_state(),
        }
    )
    with followed(tracking, journal.path):
        try:
            yield journal
            journal.end("FINISHED")
        except BaseException:
            journal.end("FAILED")
            raise
        finally:
            journal.close()
    write_atomic(JOURNALS / run / f"{stage}.jsonl", journal.path.read_bytes())


@contextmanager
def followed(tracking: Tracking | None, *journals: Path) -> Iterator[None]:
    """A process mirrors one journal to MLflow, or all that grow, and cannot stop what is done meanwhile.

    Where one follows all, as in `make repro`, stages start none: what it imports takes seconds. A server that hangs
    holds the end up by `tracking.drain_seconds` at the most.
    """
    if tracking is None or not tracking.enabled or os.environ.get(FOLLOWED):
        yield
        return
    if not journals:
        os.environ[FOLLOWED] = str(time.time() - 1.0)  # files' times lag behind the clock
    command = [sys.executable, "-m", "genfoundry.tracking", *map(str, journals)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        os.environ.pop(FOLLOWED, None)
        if process.stdin:
            process.stdin.close()  # tells it that the journals are complete
        try:
            process.wait(tracking.drain_seconds)
        except subprocess.TimeoutExpired:
            process.kill()


def home(run: str, identity: str) -> Path:
    """Where a trained run keeps what must survive a kill: outside DVC's outputs."""
    return CHECKPOINTS / f"{run}-{identity[:16]}"


def forget_others(name: str, current: Path) -> None:
    """Remove what was kept for the same name with other inputs: nothing will resume it."""
    for folder in CHECKPOINTS.glob(f"{name}-{'[0-9a-f]' * 16}"):
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)


def git_state() -> dict[str, str]:
    """Commit, and whether the tree differs from it in anything but what the pipeline itself writes."""
    written = (":!*dvc.lock", ":!metrics", ":!reports", ":!*.gitignore")
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--", ".", *written))
    except (OSError, subprocess.CalledProcessError):
        return {"git.commit": "", "git.dirty": ""}
    return {"git.commit": commit, "git.dirty": str(dirty).lower()}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _keys(entry: Mapping[str, Any]) -> set[tuple[str, int]]:
    if entry["kind"] == "metrics":
        return {(key, entry["step"]) for key in entry["values"]}
    return {(f"image:{entry['key']}", entry["step"])} if entry["kind"] == "image" else set()
