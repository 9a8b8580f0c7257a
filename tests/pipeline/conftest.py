"""A workspace of its own: a clone at smoke size, built once by the real commands, and copies of it to change."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from genfoundry.files import sha256_file
from genfoundry.journal import mend
from genfoundry.params import read, write
from genfoundry.workspace import make_clone, profile

ROOT = Path(__file__).parents[2]
RUNS = ("autoencoder", "vae", "gan", "dcgan")  # what the pipeline does with four, it does with all
LOG = "first.log"  # what the first `make repro` printed; there when it has ended well
# One thread a process: two trainers that spin on the same cores slow each other down a hundredfold.
ENVIRONMENT = {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1"} | {"MLFLOW_TRACKING_URI": ""}


@dataclass(frozen=True)
class Workspace:
    """A clone and what a user does in it."""

    path: Path

    def repro(self, *runs: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What `make repro` runs."""
        return self.run("pipelines/repro.py", *runs, **environment)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python on a script of the clone."""
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self.path, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=600
        )
        print(done.stdout[-6000:], done.stderr[-6000:])
        return done

    def dvc(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """DVC as in an activated environment."""
        path = f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"
        return self.run("-m", "dvc", *arguments, PATH=path, **environment)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """The same, without waiting."""
        log = (self.path / "started.log").open("ab")
        env = {**ENVIRONMENT, **environment}
        return subprocess.Popen([sys.executable, *arguments], cwd=self.path, env=env, stdout=log, stderr=log)

    def params(self, **changes: object) -> None:
        """Set dotted keys of params.yaml; None removes the key."""
        file = self.path / "params.yaml"
        tree = read(file)
        for key, value in changes.items():
            *above, leaf = key.split(".")
            place = reduce(lambda node, part: node[part], above, tree)
            place[leaf] = value
            if value is None:
                del place[leaf]
        write(tree, file)

    def keep_only(self, *runs: str) -> None:
        """Other runs leave params.yaml, so that a test costs what it is about; who had one as rival has none."""
        tree = read(self.path / "params.yaml")
        alone = [name for name in runs if tree["runs"][name]["evaluation"]["rival"] not in runs]
        self.params(**{f"runs.{name}.evaluation.rival": name for name in alone})
        used = {tree["runs"][name]["data"]["dataset"] for name in runs}
        published = {tree["runs"][name]["weights"] for name in runs}
        published |= {tree["runs"][name]["evaluation"]["perceptual"] for name in runs}
        published |= {tree["datasets"][name]["judge"]["extractor"] for name in used}
        self.params(**{f"runs.{name}": None for name in tree["runs"] if name not in runs})
        self.params(**{f"datasets.{name}": None for name in tree["datasets"] if name not in used})
        self.params(**{f"weights.{name}": None for name in tree["weights"] if name not in published})

    def append(self, file: str, text: str) -> None:
        """More text at the end of a file."""
        path = self.path / file
        path.write_text((path.read_text() if path.exists() else "") + text)

    def json(self, file: str) -> dict:
        """A JSON file of the clone."""
        return json.loads((self.path / file).read_text())

    def journal(self, name: str, stage: str = "train") -> list[dict]:
        """Entries of a finished stage."""
        return mend(self.path / "journal" / name / f"{stage}.jsonl")

    def live_steps(self, name: str) -> int:
        """The last step that a running trainer has written down."""
        entries = [e for path in self.path.glob(f".checkpoints/{name}-*/train.jsonl") for e in _safely(path)]
        return max((e["step"] for e in entries if e["kind"] == "metrics"), default=0)

    def trainers(self) -> list[psutil.Process]:
        """Trainers that run in this clone."""
        return [p for p in psutil.process_iter() if self._is_trainer(p)]

    def weights(self, name: str) -> str:
        """SHA-256 of a run's weights."""
        return sha256_file(self.path / "models" / name / "weights.safetensors")

    def copy(self, target: Path) -> "Workspace":
        """What the pipeline made, DVC's cache shared; nothing to resume, and a tracking store of its own."""
        ignored = shutil.ignore_patterns("mlflow.db*", "mlartifacts", "tmp", ".checkpoints")
        shutil.copytree(self.path, target, symlinks=True, ignore=ignored)
        return Workspace(target)

    def _is_trainer(self, process: psutil.Process) -> bool:
        try:
            return "pipelines/train.py" in process.cmdline() and Path(process.cwd()) == self.path
        except psutil.Error:
            return False


def executed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Names of the stages whose command DVC ran."""
    lines = [line for line in done.stdout.splitlines() if "Running stage '" in line]
    return {line.split("'")[1].rpartition(":")[2] for line in lines}


def _safely(path: Path) -> list[dict]:
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.split(b"\n") if line]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workspace:
    """A smoke-sized clone of this checkout in which `make repro` has run once; tests must not change it."""
    if worker_id == "master":
        return build(tmp_path_factory.mktemp("pipeline") / "built")
    shared = tmp_path_factory.getbasetemp().parent / "built"
    with FileLock(f"{shared}.lock"):
        return Workspace(shared) if (shared / LOG).exists() else build(shared)


def build(path: Path) -> Workspace:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        make_clone(path)
        write(profile("smoke"), path / "params.yaml")
    finally:
        os.chdir(before)
    # A cache of its own: what an earlier session trained would be handed to this one.
    (path / ".dvc/config.local").write_text(f"[cache]\n    dir = {path.parent / 'cache'}\n")
    workspace = Workspace(path)
    workspace.keep_only(*RUNS)
    done = workspace.repro()
    assert done.returncode == 0, done.stderr[-3000:]
    (path / LOG).write_text(done.stdout)
    return workspace


@pytest.fixture
def workspace(built: Workspace, tmp_path: Path) -> Workspace:
    """A copy to change."""
    return built.copy(tmp_path / "copy")
