"""DVC's stages, several at a time: `dvc repro` itself runs one after the other, whatever the machine has.

What has changed, and what a stage leaves behind, is DVC's to say: each stage that has changed is a `dvc repro` of
that stage alone, and DVC's own locks keep apart what would write the same files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TextIO

import psutil

from genfoundry.files import write_atomic

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage
    from networkx import DiGraph

INTERPRETER = Path(sys.executable).parent  # where `dvc`, and the `python` of dvc.yaml, are
LOCKS = Path(".dvc/tmp/rwlock")
GPUS = (Path("/proc/driver/nvidia/version"), Path("/dev/kfd"))  # NVIDIA's driver, and AMD's
STAGE_BYTES = 3 * 2**30  # of memory: most default runs take half of it, CycleGAN's evaluation more for a moment
# What DVC says at the end of each command; after a hundred of them it is only in the way.
ASIDES = ("To track the changes", "\tgit add", "To enable auto staging", "\tdvc config", "Use `dvc push`")


def rebuild(targets: Sequence[str], jobs: int) -> int:
    """Bring `targets`, and all that they depend on, up to date, `jobs` stages at a time.

    Returns an exit code. What depends on a stage that fails is skipped, and everything else is made.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    forget_the_dead(LOCKS)
    try:
        with Repo(_wait_for_lock=True) as repo:
            return Crew(repo, needed(repo, targets), jobs).work()
    except DvcException as error:  # of its files
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


def needed(repo: Repo, targets: Sequence[str]) -> DiGraph:
    """The targets and all that they depend on; edges go from a stage to what it needs."""
    from dvc.repo.graph import get_subgraph_of_nodes

    stages = [stage for target in targets for stage in repo.stage.collect(target)]
    return get_subgraph_of_nodes(repo.index.graph, stages)


@dataclass
class Crew:
    """Stages at work, those that wait for others, and how it went."""

    repo: Repo
    graph: DiGraph
    jobs: int
    running: dict[Stage, subprocess.Popen[str]] = field(default_factory=dict)
    ran: bool = False
    failed: bool = False
    ended: SimpleQueue[Stage] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        from networkx import dfs_postorder_nodes

        self.waiting: list[Stage] = list(dfs_postorder_nodes(self.graph))  # what is needed comes first

    def work(self) -> int:
        """Until nothing is left that could be done; an interruption ends what runs before it goes on up."""
        try:
            while self.begin():
                self.end(self.ended.get())
        except KeyboardInterrupt:
            for process in self.running.values():
                stop(process)
            raise
        if not self.ran:
            print("Data and pipelines are up to date.", flush=True)
        return int(self.failed)

    def begin(self) -> bool:
        """Start what can be; whether anything runs."""
        while len(self.running) < self.jobs and (stage := self.ready()):
            self.waiting.remove(stage)
            if self.changed(stage):
                self.start(stage)
        return bool(self.running)

    def ready(self) -> Stage | None:
        """The first that needs nothing unfinished."""
        unfinished = {*self.waiting, *self.running}
        free = (stage for stage in self.waiting if unfinished.isdisjoint(self.graph.successors(stage)))
        return next(free, None)

    def changed(self, stage: Stage) -> bool:
        """What DVC says; where another process holds its files, it will say that itself."""
        from dvc.lock import LockError

        try:
            with self.repo.lock:
                return stage.changed()
        except LockError:
            return True

    def start(self, stage: Stage) -> None:
        """In a process of its own: on the terminal if it is alone there, else line by line under its name."""
        pipe = subprocess.PIPE if self.jobs > 1 else None
        self.running[stage] = process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage.addressing],
            env=environment(),
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
        )
        Thread(target=self.follow, args=(stage, process), daemon=True).start()

    def follow(self, stage: Stage, process: subprocess.Popen[str]) -> None:
        """Pass on what a stage says until it ends."""
        since = time.monotonic()
        streams = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        pumps = [Thread(target=pass_on, args=(stage, *pair), daemon=True) for pair in streams if pair[0]]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        process.wait()
        if pumps:
            how = "failed" if process.returncode else "done"
            tell(stage, f"{how} after {time.monotonic() - since:.0f} s\n", sys.stdout)
        self.ended.put(stage)

    def end(self, stage: Stage) -> None:
        """Free its place; what depends on it may begin, or is skipped."""
        from networkx import ancestors

        self.ran = True
        if not self.running.pop(stage).returncode:
            return
        self.failed = True
        above = ancestors(self.graph, stage)
        skipped = [other for other in self.waiting if other in above]
        self.waiting = [other for other in self.waiting if other not in above]
        if skipped:
            names = ", ".join(map(title, skipped))
            print(f"ERROR: {title(stage)} failed; skipped, because they depend on it: {names}", file=sys.stderr)


def title(stage: Stage) -> str:
    """Its name without its file's."""
    return stage.addressing.rpartition(":")[2]


def pass_on(stage: Stage, source: TextIO, target: TextIO) -> None:
    """What a stage says, but for what DVC adds to it each time."""
    for line in source:
        if line.strip() and not line.startswith(ASIDES):
            tell(stage, line, target)


def tell(stage: Stage, line: str, target: TextIO) -> None:
    """A line under the stage's name, in one write: others speak too."""
    target.write(f"{title(stage):26} | {line}")
    target.flush()


def places(threads: int) -> int:
    """Stages of `threads` that cores and memory are there for; one where all would share a GPU."""
    if any(gpu.exists() for gpu in GPUS):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // threads, psutil.virtual_memory().available // STAGE_BYTES))


def dvc(*arguments: str) -> int:
    """DVC's exit code; what a killed DVC still holds is released first."""
    forget_the_dead(LOCKS)
    return python("-m", "dvc", *arguments)


def python(*arguments: str, folder: Path = Path()) -> int:
    """The exit code of this Python on `arguments` in `folder`.

    An interruption ends it before it goes on up: DVC, which takes one for a failed stage, would begin the next.
    """
    process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment())
    try:
        return process.wait()
    except KeyboardInterrupt:
        stop(process)
        raise


def stop(process: subprocess.Popen[Any]) -> None:
    """End it and all that it started, which DVC would leave behind."""
    started: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()  # first, or it would begin something else
    for child in started:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    process.wait()


def environment() -> dict[str, str]:
    """This process's, with the code of the command's folder, and this Python's commands before all others."""
    path = os.pathsep.join([str(INTERPRETER), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": "src", "PATH": path}


def forget_the_dead(locks: Path) -> None:
    """Release what a killed DVC still seems to hold.

    DVC releases the locks of a process that is gone, but not where its number is a zombie's (in a container whose
    first process reaps no children) or has been given to another program.
    """
    try:
        held = json.loads(locks.read_text())
    except FileNotFoundError:
        return
    except json.JSONDecodeError:  # killed while it wrote
        locks.unlink()
        return
    readers = {
        path: [info for info in infos if _is_dvc(info["pid"])] for path, infos in held.get("read", {}).items()
    }
    alive = {
        "read": {path: infos for path, infos in readers.items() if infos},
        "write": {path: info for path, info in held.get("write", {}).items() if _is_dvc(info["pid"])},
    }
    if alive != held:
        write_atomic(locks, json.dumps(alive).encode())


def _is_dvc(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and any("dvc" in word for word in process.cmdline())
    except psutil.Error:
        return False
