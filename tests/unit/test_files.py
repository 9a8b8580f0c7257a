from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from genfoundry.files import folder_atomic, read_json, sha256, sha256_file, write_atomic, write_json
from tests.unit import tiny


def test_write_makes_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_an_interrupted_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def cut(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(call, cut)
    with pytest.raises(OSError, match="power cut"):
        write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"


def test_a_tree_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    write_json(path, {"ä": [1, None]})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"ä": [1, None]}
    assert "ä" in path.read_text(encoding="utf-8")


def test_folder_appears_when_the_block_ends_well_and_replaces_the_old(tmp_path: Path) -> None:
    target = tmp_path / "out" / "run"
    for name in ("first", "second"):
        with folder_atomic(target) as folder:
            (folder / name).write_text(name)
            assert not (target / name).exists()
    assert [p.name for p in target.iterdir()] == ["second"]
    assert [p.name for p in target.parent.iterdir()] == ["run"]
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("before", [True, False])
def test_folder_vanishes_on_error(tmp_path: Path, before: bool) -> None:
    target = tmp_path / "run"
    if before:
        target.mkdir()
        (target / "old").write_text("old")

    def fill() -> None:
        with folder_atomic(target) as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert [p.name for p in tmp_path.rglob("*")] == (["run", "old"] if before else [])


def test_digests_agree_with_hashlib(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert sha256(content) == sha256(memoryview(content)) == sha256_file(tmp_path / "file") == expected


WRITES = """
import sys
from pathlib import Path
from genfoundry.files import folder_atomic, write_atomic
for turn in range(40):
    write_atomic(Path("file"), sys.argv[1].encode() * 1000)
    with folder_atomic(Path("folder")) as folder:
        for name in ("a", "b"):
            (folder / name).write_text(sys.argv[1])
"""


def test_processes_that_write_the_same_at_once_all_end_well_and_leave_one_whole(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES, str(i)], cwd=tmp_path, env=tiny.environment())
        for i in range(3)
    ]
    try:
        assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert len(set((tmp_path / "file").read_bytes())) == 1
    assert len({path.read_text() for path in (tmp_path / "folder").iterdir()}) == 1


def filled(path: Path) -> None:
    with folder_atomic(path):
        pass


@pytest.mark.parametrize("begin", [filled, partial(write_atomic, content=b"whole")])
def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_ones_is_not(
    begin: Callable[[Path], None], tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = os.uname().nodename
    dead, alive = (tmp_path / f".run.{here}-{pid}.partial" for pid in (ended.pid, os.getppid()))
    elsewhere = tmp_path / f".run.not-{here}.other-{ended.pid}.partial"
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
        (folder / "half").write_text("half")
    (tmp_path / ".run.json.partial").write_text("not ours")
    begin(tmp_path / "run")
    kept = [".run.json.partial", alive.name, elsewhere.name, "run"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run"
    with folder_atomic(target) as folder:
        (folder / "a").write_text("old")
    replace = Path.replace

    def cut(self: Path, to: Path) -> Path:
        if to == target and "old." not in self.name:
            raise OSError("power cut")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(OSError, match="power cut"), folder_atomic(target) as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (target / "a").read_text() == "old"


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a").write_text("kept")
    (tmp_path / "run").symlink_to(tmp_path / "store")
    with folder_atomic(tmp_path / "run") as folder:
        (folder / "a").write_text("new")
    assert not (tmp_path / "run").is_symlink()
    assert [(tmp_path / name / "a").read_text() for name in ("store", "run")] == ["kept", "new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "store"]
