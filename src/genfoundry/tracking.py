"""Journals → MLflow, live or later, any number of times with the same result.

With `registry.py` the only importer of mlflow.

`python -m genfoundry.tracking [JOURNAL]` follows one journal, or all that grow, until its standard input closes;
see `journal.followed`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from genfoundry.files import sha256, sha256_file
from genfoundry.journal import CHECKPOINTS, FOLLOWED, JOURNALS, entries
from genfoundry.params import Tracking, load

BATCH = 1000  # metric points that MLflow takes in one request
PANEL = 216  # pixels of MLflow's picture panel that show at its default size; the full picture is a click away
FAILED, RUNNING = "FAILED", "RUNNING"  # MLflow's words


def main_checkout(here: Path | None = None) -> Path:
    """The checkout that owns `here`: itself, or for `dvc exp run --temp` the one whose `.dvc/` it lies in."""
    here = (here or Path.cwd()).resolve()
    return next((folder.parent for folder in here.parents if folder.name == ".dvc"), here)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or `mlflow.db` in the main checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{main_checkout() / 'mlflow.db'}"


class Mirror:
    """MLflow's side of the journals.

    Raises (from every method):
        Exception: whatever the client raises where the server is absent, slow or broken.
    """

    def __init__(self, timeout_s: float) -> None:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(int(timeout_s))
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        uri = tracking_uri()
        self._local = uri.startswith("sqlite:")
        lock = main_checkout() / CHECKPOINTS / "mlflow.lock"
        lock.parent.mkdir(exist_ok=True)
        self._lock = FileLock(lock)
        with self._lock:  # the first client creates the database's tables
            self._client = MlflowClient(uri)
            self._client.search_experiments(max_results=1)
        self._known: dict[tuple[str, str], set[tuple[int, float]]] = {}

    def replay(self, path: Path) -> None:
        """A whole journal; nothing is written where MLflow has all of it already."""
        content = path.read_bytes()
        lines, stage = list(entries(content)), path.stem
        run_id = self.run_of(lines)
        if run_id is None or self._tags(run_id).get(f"journal.{stage}") == sha256(content):
            return
        self.apply(run_id, lines)
        self.close(run_id, stage, content)

    def run_of(self, lines: Iterable[Mapping[str, Any]]) -> str | None:
        """The MLflow run of these entries, created where there is none; None where the user deleted it."""
        from mlflow.entities import ViewType

        first = next(line for line in lines if line["kind"] == "tags")
        tags = first["values"]
        with self._lock:
            experiment = self._experiment(tags["experiment"])
            if experiment is None:
                return None
            same = f"tags.identity = '{tags['identity']}' and tags.run = '{tags['run']}'"
            found = self._client.search_runs([experiment], same, ViewType.ALL)
            if found:
                return found[0].info.run_id if found[0].info.lifecycle_stage == "active" else None
            named = {"identity": tags["identity"], "run": tags["run"]}
            run = self._client.create_run(experiment, first["t"], named, run_name=_title(tags))
            return run.info.run_id

    def apply(self, run_id: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write what these entries say and MLflow does not have yet."""
        lines = list(lines)
        self._log_points(run_id, [line for line in lines if line["kind"] == "metrics"])
        for line in lines:
            if line["kind"] == "tags":
                self._log(run_id, tags={**line["values"], **_shown(line["values"])})
            elif line["kind"] == "params":
                self._log_params(run_id, line["values"])
            elif line["kind"] == "image":
                self._log_image(run_id, line)
            elif line["kind"] == "file":
                self._log_file(run_id, line)
        ends = [line for line in lines if line["kind"] == "end"]
        if ends and lines[-1]["kind"] == "end":
            self._client.set_terminated(run_id, ends[-1]["status"], ends[-1]["t"])
        elif lines:
            self._client.update_run(run_id, RUNNING)

    def close(self, run_id: str, stage: str, content: bytes | None) -> None:
        """Remember that all of a stage's journal is here; without content, that the stage died."""
        if content is None:
            self._client.set_terminated(run_id, FAILED)
        else:
            self._client.set_tag(run_id, f"journal.{stage}", sha256(content))

    def _experiment(self, name: str) -> str | None:
        found = self._client.get_experiment_by_name(name)
        if found:
            return found.experiment_id if found.lifecycle_stage == "active" else None
        # A local store would put artifacts below the working folder of whoever comes first.
        location = (main_checkout() / "mlartifacts" / name).as_uri() if self._local else None
        created = self._client.create_experiment(name, location)
        self._client.set_experiment_tag(created, "mlflow.experimentKind", "custom_model_development")
        return created

    @property
    def client(self) -> Any:
        """MLflow's own."""
        return self._client

    def _tags(self, run_id: str) -> Mapping[str, str]:
        return self._client.get_run(run_id).data.tags

    def _log(self, run_id: str, *, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _log_params(self, run_id: str, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        there = self._client.get_run(run_id).data.params  # a logged param cannot be changed
        new = [Param(key, value) for key, value in values.items() if key not in there]
        if new:
            self._client.log_batch(run_id, params=new)

    def _log_points(self, run_id: str, lines: Iterable[Mapping[str, Any]]) -> None:
        from mlflow.entities import Metric

        points = [
            Metric(key, value, line["t"], line["step"])
            for line in lines
            for key, value in line["values"].items()
            if (line["step"], value) not in self._points(run_id, key)
        ]
        for start in range(0, len(points), BATCH):
            chunk = points[start : start + BATCH]
            self._client.log_batch(run_id, metrics=chunk)
            for point in chunk:
                self._known[run_id, point.key].add((point.step, point.value))

    def _points(self, run_id: str, key: str) -> set[tuple[int, float]]:
        """(step, value) pairs that MLflow has of a metric, asked once."""
        if (run_id, key) not in self._known:
            history = self._client.get_metric_history(run_id, key)
            self._known[run_id, key] = {(point.step, point.value) for point in history}
        return self._known[run_id, key]

    def _log_image(self, run_id: str, line: Mapping[str, Any]) -> None:
        """Under the names that `MlflowClient.log_image` gives, with a reproducible id, so that none comes twice."""
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
        from PIL import Image

        key = line["key"].replace("/", "~")
        png = base64.b64decode(line["png"])
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{key}/{line['step']}/{sha256(png)}")
        there = {Path(item.path).name for item in self._client.list_artifacts(run_id, "images")}
        if any(f"+{unique}+compressed" in name for name in there):
            return
        stem = f"{key}+step+{line['step']}+timestamp+{line['t']}+{unique}"
        with tempfile.TemporaryDirectory() as scratch:
            full, small = Path(scratch) / f"{stem}.png", Path(scratch) / f"{stem}+compressed.webp"
            full.write_bytes(png)
            thumbnail = Image.open(io.BytesIO(png))
            thumbnail.thumbnail((PANEL, PANEL), Image.Resampling.LANCZOS)
            thumbnail.save(small)
            self._client.log_artifact(run_id, str(full), "images")
            self._client.log_artifact(run_id, str(small), "images")
        self._client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, True)

    def _log_file(self, run_id: str, line: Mapping[str, Any]) -> None:
        path, tag = Path(line["path"]), f"sha256.{line['folder']}/{Path(line['path']).name}"
        if self._tags(run_id).get(tag) == line["sha256"]:
            return
        if path.exists() and sha256_file(path) == line["sha256"]:  # else it belongs to another version
            self._client.log_artifact(run_id, str(path), line["folder"])
            self._client.set_tag(run_id, tag, line["sha256"])


def _title(tags: Mapping[str, str]) -> str:
    """A run's name, and of a DVC experiment its own beside it."""
    experiment = tags.get("dvc.experiment")
    return f"{tags['run']} ({experiment})" if experiment else tags["run"]


def _shown(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that MLflow's page itself reads."""
    names = {"git.commit": "mlflow.source.git.commit", "description": "mlflow.note.content"}
    return {names[key]: value for key, value in tags.items() if key in names and value}


def sync(timeout_s: float) -> None:
    """Bring MLflow up to date with every journal in the workspace that belongs to what was trained last."""
    journals = in_order(
        path for live in JOURNALS.glob("*/train.jsonl") for path in of_identity(live.parent, identity_of(live))
    )
    if journals:
        mirror = Mirror(timeout_s)
        for path in journals:
            mirror.replay(path)


def pages() -> dict[str, str]:
    """Each experiment's name → where MLflow's page shows its runs, below the server's address."""
    from mlflow import MlflowClient

    experiments = MlflowClient(tracking_uri()).search_experiments()
    with_runs = [experiment for experiment in experiments if experiment.name != "Default"]
    return {experiment.name: f"/#/experiments/{experiment.experiment_id}/runs" for experiment in with_runs}


class Watch:
    """Mirrors journals while they grow; a server that is away is told of once and asked again later."""

    def __init__(self, found: Callable[[], Iterable[Path]], config: Tracking) -> None:
        self._found, self._config = found, config
        self._followed: dict[Path, Follower] = {}
        self._mirror: Mirror | None = None
        self._told = False

    def run(self) -> None:
        """Until standard input closes, then once more."""
        ended = False
        while not ended:
            done = self._try(self._advance)
            # Asking an absent server often would only cost the stage time.
            ended = _input_closed(self._config.poll_seconds if done else self._config.retry_seconds)
        self._try(self._settle)

    def _try(self, work: Callable[[], None]) -> bool:
        """Whether MLflow now has all that it should."""
        try:
            work()
        except Exception as error:  # the boundary: no fault of a server may reach the stage
            self._mirror = None
            if not self._told:
                self._told = True
                print(f"\n{unreachable(error)} The work goes on; the next stage fills the gap.", file=sys.stderr)
            return False
        return True

    def _advance(self) -> None:
        for path in self._found():
            self._mirror = self._mirror or Mirror(self._config.timeout_seconds)
            self._followed.setdefault(path, Follower(path)).advance(self._mirror)

    def _settle(self) -> None:
        self._advance()
        for follower in self._followed.values():
            if self._mirror:
                follower.settle(self._mirror)


class Follower:
    """How far MLflow has one journal."""

    def __init__(self, live: Path) -> None:
        self._live = live
        self._file, self._offset = 0, 0
        self._run_id: str | None = None

    def advance(self, mirror: Mirror) -> None:
        """Send what is new; at first what earlier stages left, too."""
        content = self._read()
        fresh = content[self._offset : content.rfind(b"\n") + 1]
        if not fresh:
            return
        if not self._offset:
            run = next(line["values"]["run"] for line in entries(content) if line["kind"] == "tags")
            for path in in_order(of_identity(JOURNALS / run, identity_of(self._live))):
                mirror.replay(path)
        self._run_id = mirror.run_of(entries(content))
        if self._run_id is not None:
            mirror.apply(self._run_id, entries(fresh))
            if is_complete(content):
                mirror.close(self._run_id, self._live.stem, content)
        self._offset += len(fresh)

    def _read(self) -> bytes:
        """The journal, where it has grown."""
        try:
            status = self._live.stat()
            if status.st_ino != self._file:  # begun, or begun again
                self._file, self._offset = status.st_ino, 0
            return self._live.read_bytes() if status.st_size > self._offset else b""
        except FileNotFoundError:  # of a run that was trained anew
            return b""

    def settle(self, mirror: Mirror) -> None:
        """Mark the run as failed where the stage died without a word."""
        content = self._live.read_bytes() if self._live.exists() else b""
        if self._run_id and content and not is_complete(content):
            mirror.close(self._run_id, self._live.stem, None)


def is_complete(journal: bytes) -> bool:
    """Whether its stage came to an end, good or bad."""
    return journal.endswith(b"\n") and json.loads(journal.splitlines()[-1])["kind"] == "end"


def grown_since(start: float) -> list[Path]:
    """Journals of all stages that were written to after `start`, in seconds of the epoch."""
    return [path for path in CHECKPOINTS.glob("*/*.jsonl") if path.exists() and path.stat().st_mtime >= start]


def unreachable(error: Exception) -> str:
    """One line on a tracking server that does not answer."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return f"tracking: MLflow at {tracking_uri()} does not answer ({reason})."


def identity_of(journal: Path) -> str:
    """Of the trained run that a journal is about."""
    return next(line["values"]["identity"] for line in entries(journal.read_bytes()) if line["kind"] == "tags")


def of_identity(folder: Path, identity: str) -> list[Path]:
    """Finished journals of one trained run: those of an earlier one lie there until their stage runs again."""
    return [path for path in folder.glob("*.jsonl") if identity_of(path) == identity]


def in_order(journals: Iterable[Path]) -> list[Path]:
    """As the stages began; a checkout from DVC's cache gives files any time."""
    return sorted(journals, key=lambda path: next(entries(path.read_bytes()))["t"])


def _input_closed(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not os.read(sys.stdin.fileno(), 1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; it ends when its input does
    live = [Path(argument) for argument in sys.argv[1:]]
    Watch((lambda: live) if live else partial(grown_since, float(os.environ[FOLLOWED])), load().tracking).run()
