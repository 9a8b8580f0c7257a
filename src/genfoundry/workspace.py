"""The commands a user types: rebuild everything, or a profile of it in a throw-away clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from genfoundry.files import write_atomic
from genfoundry.journal import CHECKPOINTS, followed
from genfoundry.params import PARAMS, Dataset, Params, ParamsError, load, read, write
from genfoundry.rebuild import dvc, places, python, rebuild

REPORTED = ("dist", "history", "metrics", "onnx", "plots")  # what the report is made from
START_BATCH = 4  # images in a step that only shows that a run starts


def repro(runs: Sequence[str] = ()) -> int:
    """Everything, or some runs' chains, up to date; then MLflow, then the leaderboard.

    Returns an exit code: one failed gate does not stop the other runs, but it is not hidden.

    Raises:
        ParamsError: params.yaml is wrong in a way that would keep DVC from reading dvc.yaml, or names no such run.
    """
    params = _checked()
    unknown = [run for run in runs if run not in params.runs]
    if unknown:
        raise ParamsError(
            f"runs: there is no {', '.join(unknown)} in params.yaml, which has {', '.join(params.runs)}"
        )
    refetch(params)
    with followed(params.tracking):
        # The report wants all runs, and nothing that they do without: unused weights stay where they are.
        code = rebuild([target("package", run) for run in runs] or ["report"], jobs(params))
        if (runs or code) and all(Path(folder).exists() for folder in REPORTED):
            # What did finish is reported, although the report as a target would want all of it.
            code = dvc("repro", "--quiet", "--single-item", "report") or code
    synchronise(params)
    summarise(params, code)
    return code


def jobs(params: Params) -> int:
    """Stages at a time: what JOBS in the environment says, or what there is room for.

    Raises:
        ParamsError: JOBS is no positive number.
    """
    said = os.environ.get("JOBS") or str(places(params.threads))
    if not said.isdecimal() or not int(said):
        raise ParamsError(f"JOBS: how many stages run at a time, a positive number, not {said!r}")
    return int(said)


def target(stage: str, run: str) -> str:
    """What DVC calls a run's stage."""
    return f"stages/{stage}/dvc.yaml:{stage}@{run}"


def _checked() -> Params:
    """params.yaml; where it or a family changed, checked against the families' demands too, which takes torch."""
    passed = Path("build/params.ok")
    files = [PARAMS, *Path("src/genfoundry/models").glob("*.py")]
    if passed.exists() and passed.stat().st_mtime > max(file.stat().st_mtime for file in files):
        return load()
    from genfoundry.check import check_all

    params = check_all()
    if passed.exists():
        passed.touch()  # DVC sees the content alone
    return params


def refetch(params: Params) -> None:
    """Fetch again where a local folder is not what it was: DVC sees params.yaml, not what lies in that folder."""
    for name, dataset in params.datasets.items():
        stamp = folders_stamp(dataset)
        known = Path("build/folders") / name
        if stamp and (not known.exists() or known.read_text() != stamp):
            print(f"{name}: its folder is new or has changed", flush=True)
            if dvc("repro", "--force", f"fetch@{name}") == 0:
                write_atomic(known, stamp.encode())


def folders_stamp(dataset: Dataset) -> str:
    """Names, sizes and times of the files it is made of; empty where a hash in params.yaml pins the content."""
    paths = [] if dataset.sha256 else [path for source in dataset.sources for path in source.folders]
    if not paths:
        return ""
    from genfoundry.data import SourceError
    from genfoundry.data.sources import locate
    from genfoundry.data.trees import stamp

    try:
        return "".join(stamp(locate(path)) for path in paths)
    except SourceError:  # gone; what was fetched from it may be all that is left
        return ""


def synchronise(params: Params) -> None:
    """Replay all journals; a tracking server that is away costs a line, nothing else."""
    if not params.tracking.enabled:
        return
    from genfoundry.registry import register
    from genfoundry.tracking import sync, unreachable

    try:
        sync(params.tracking.timeout_seconds)
        register(params.runs, params.tracking.timeout_seconds)
    except Exception as error:  # the boundary: results do not hang on a server
        print(f"{unreachable(error)} `make repro` fills the gap when it does.", file=sys.stderr)


def summarise(params: Params, code: int) -> None:
    """The leaderboard, and where to look next."""
    from genfoundry.report.leaderboard import boards_text

    print(f"\n{boards_text(params.runs)}\n")
    print("gallery      reports/index.html")
    print("compare      make ui")
    print("ship         dist/<run>/*.onnx, genfoundry generate dist/<run>")
    if code:
        print(
            "\nNot everything was rebuilt: the lines with ERROR above say what and why.",
            file=sys.stderr,
        )


def run_profile(name: str, runs: Sequence[str] = ()) -> int:
    """The same pipeline with the numbers of `profiles/<name>.yaml`, in `build/<name>/`.

    Raises:
        ParamsError: there is no such profile.
    """
    clone = Path("build") / name
    make_profile(name, clone)
    return python("pipelines/repro.py", *runs, folder=clone)


def start_profile(name: str, steps: int, runs: Sequence[str] = ()) -> int:
    """The first `steps` of the runs that a profile names, exported and gated: whether they would start at all.

    Nothing is measured. In `build/<name>-start/`, with the profile's networks and losses, on small batches.

    Raises:
        ParamsError: there is no such profile, or no such run.
    """
    clone = Path("build") / f"{name}-start"
    make_profile(name, clone)
    shorten(clone / PARAMS, steps)
    known = load(clone / PARAMS).runs
    unknown = [run for run in runs if run not in known]
    if unknown:
        raise ParamsError(f"runs: there is no {', '.join(unknown)} in this profile, which has {', '.join(known)}")
    own = read(profile_file(name))["runs"]
    targets = [target("export", run) for run in runs or own]
    with chdir(clone):
        return rebuild(targets, jobs(load()))


def shorten(file: Path, steps: int) -> None:
    """All runs of a params.yaml end after `steps` of few images, and are gated by few; networks and losses stay."""
    tree = read(file)
    tree["export"]["gate"] |= {"batches": [1, 2], "seeds": 1}
    tree["export"]["variants"] = {}
    every = {"log_every": steps, "sample_every": steps, "checkpoint_every": steps, "pictures": START_BATCH}
    for run in tree["runs"].values():
        batch_size = min(run["training"]["batch_size"], START_BATCH)
        run["training"] |= {"steps": steps, "batch_size": batch_size, **every}
    write(tree, file)


def make_profile(name: str, clone: Path) -> None:
    """A clone whose params.yaml has the numbers of `profiles/<name>.yaml`.

    Raises:
        ParamsError: there is no such profile.
    """
    tree = profile(name)
    make_clone(clone)
    write(tree, clone / PARAMS)
    print(f"profile {name}: everything is made in {clone}/", flush=True)


def profile(name: str) -> dict[str, Any]:
    """params.yaml with the leaves of `profiles/<name>.yaml` in their places; `on` names a profile to begin with.

    Raises:
        ParamsError: there is no such profile.
    """
    changes = read(profile_file(name))
    base = changes.pop("on", None)
    return merged(profile(base) if base else read(PARAMS), changes)


def profile_file(name: str) -> Path:
    """`profiles/<name>.yaml`.

    Raises:
        ParamsError: there is none.
    """
    file = Path("profiles") / f"{name}.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise ParamsError(f"there is no {file}; there are {known}")
    return file


def make_clone(target: Path) -> None:
    """A clone of this checkout as it stands, uncommitted changes included, that shares its DVC cache.

    Of a clone that was there before, the checkpoints stay: a killed training goes on.
    """
    aside = target.with_name(f"{target.name}.checkpoints")
    if (target / CHECKPOINTS).exists():
        shutil.rmtree(aside, ignore_errors=True)
        (target / CHECKPOINTS).rename(aside)
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(target)], check=True)
    if aside.exists():
        aside.rename(target / CHECKPOINTS)
    for name in _git_files("--cached", "--others", "--exclude-standard"):
        if Path(name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, target / name)
    for name in _git_files(folder=target):
        if not Path(name).exists():
            (target / name).unlink()
    (target / ".dvc/config.local").write_text(f"[cache]\n    dir = {_cache()}\n")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `changes` in their places."""
    nested = {
        key: merged(base[key], value)
        for key, value in changes.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **changes, **nested}


def _git_files(*options: str, folder: Path = Path()) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-z", *options]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


def _cache() -> Path:
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True, check=True
    )
    return Path(shown.stdout.strip()).resolve()
