from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit import tiny
from tests.unit.runtime import hostile

# Each command on each file in one process, whose memory is that of the hungriest. Not `ru_maxrss`: it is
# kept through `exec`, so that a child is charged with what pytest itself, its parent, has held.
TRY = r"""
import contextlib, io, json, re, sys, time
from pathlib import Path
from genfoundry.cli import main

found = []
for case, arguments in json.loads(sys.stdin.read()):
    out, err, start = io.StringIO(), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    found.append([case, arguments[0], code, out.getvalue(), err.getvalue(), time.monotonic() - start])
peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps({"found": found, "rss": peak * 1024}))
"""
COMMANDS = {
    "info": [],
    "verify": [],
    "generate": ["-n", "2", "-o"],
    "interpolate": ["1", "2", "-o"],
    "bench": ["--batch", "1"],
}


@pytest.fixture(scope="module")
def tried(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("hostile")
    files = hostile.corpus((shipped / hostile.NAME).read_bytes(), root / "files")
    out = root / "out"
    asked = [
        (case, [command, str(place), *rest, *([str(out / "x.png")] if rest[-1:] == ["-o"] else [])])
        for case, folder in files.items()
        for place in (folder, folder / hostile.NAME)
        for command, rest in COMMANDS.items()
    ]
    shown = tiny.python("-c", TRY, cwd=root, input=json.dumps(asked))
    return {**json.loads(shown.stdout), "beside": shown.stderr, "files": files, "root": root}


def test_the_corpus_is_large(tried: dict) -> None:
    assert len(tried["files"]) >= 80


def test_no_command_takes_any_of_it(tried: dict) -> None:
    assert [entry for entry in tried["found"] if entry[2] != 2] == []


def test_each_refusal_is_one_clear_line(tried: dict) -> None:
    assert tried["beside"] == ""  # ONNX Runtime's own lines
    for case, _, _, out, err, _ in tried["found"]:
        assert out == "", case
        assert err.startswith("genfoundry: "), (case, err)
        assert err.count("\n") == 1, (case, err)
        assert err.strip().isprintable(), (case, err)
        assert len(err) < 600, (case, err)


def test_each_refusal_is_quick_and_small(tried: dict) -> None:
    slow = [(case, command, seconds) for case, command, *_, seconds in tried["found"] if seconds > 2]
    assert slow == []
    assert tried["rss"] < 2**30


def test_nothing_is_written(tried: dict) -> None:
    assert {path.name for path in tried["root"].iterdir()} == {"files"}
    for folder in tried["files"].values():
        assert {path.name for path in folder.iterdir()} <= {hostile.NAME, "link.bin", "hard.bin"}


def test_what_no_one_has_touched_is_taken(shipped: Path, tmp_path: Path) -> None:
    asked = [("sound", [command, str(shipped / hostile.NAME), *rest]) for command, rest in COMMANDS.items()]
    asked = [(case, words + (["x.png"] if words[-1] == "-o" else [])) for case, words in asked]
    shown = tiny.python("-c", TRY, cwd=tmp_path, input=json.dumps(asked)).stdout
    assert {entry[2] for entry in json.loads(shown)["found"]} == {0}
