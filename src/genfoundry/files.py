"""Files that are whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = ".partial"


def write_atomic(path: Path, content: bytes) -> None:
    """Write, fsync, rename, fsync of the folder: after a crash `path` holds the old bytes or the new.

    Of processes that write the same file at once, the last to end is the one whose content stays.
    """
    partial = scratch(path)
    clear_left(path)
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def scratch(path: Path, what: str = "") -> Path:
    """A name beside `path` for this process of this machine alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{what}{os.uname().nodename}-{os.getpid()}{PARTIAL}")


def clear_left(path: Path) -> None:
    """Remove what killed processes of this machine left beside `path`; other machines may share the folder."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{glob.escape(os.uname().nodename)}-*{PARTIAL}"):
        pid = left.name.removesuffix(PARTIAL).rpartition("-")[2]
        if pid.isdecimal() and not _lives(int(pid)):
            remove(left)


def remove(path: Path) -> None:
    """A file, a link or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_json(path: Path, tree: Any) -> None:
    """`tree` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The tree of a JSON file."""
    return json.loads(path.read_text())


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, outlast a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """A folder to fill that becomes `path` when the block ends well, and vanishes when it does not.

    Of processes that fill the same folder at once, the last to end is the one whose content stays.
    """
    partial = scratch(path)
    clear_left(path)
    remove(partial)
    partial.mkdir()
    try:
        yield partial
        os.sync()  # of thousands of files, one call for all is some hundred times as fast as one for each
        _take_place(partial, path)
        sync(path.parent)
    finally:
        remove(partial)


def _take_place(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; what is there goes as a whole, so that no crash leaves half of it."""
    aside = scratch(path, "old.")
    while True:
        with suppress(FileNotFoundError):
            path.replace(aside)
        try:
            folder.replace(path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with suppress(FileNotFoundError):
                    aside.replace(path)
                raise
            remove(aside)  # another process was faster
    remove(aside)


def sha256(content: bytes | memoryview) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
