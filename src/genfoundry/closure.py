"""Which files a script really imports, found by reading: DVC tracks no imports, and importing costs seconds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from genfoundry.files import sha256

PACKAGE = "genfoundry"


def closure(*scripts: Path, source: Path = Path("src")) -> tuple[Path, ...]:
    """The scripts and all modules of the package that they reach, imports inside functions too; sorted."""
    reached: set[Path] = set()
    waiting = list(scripts)
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [file for name in imported(path) for file in files_of(name, source)]
    return tuple(sorted(reached))


def imported(path: Path) -> tuple[str, ...]:
    """Dotted names that a file imports from the package; `from a import b` gives `a` and `a.b`."""
    inside = path.parts[path.parts.index(PACKAGE) : -1] if PACKAGE in path.parts else ()
    return _names(path.read_text(), inside)


def files_of(name: str, source: Path) -> Iterator[Path]:
    """The files that importing a dotted name executes: its packages' `__init__.py` and the module itself."""
    folder = source
    for part in name.split("."):
        folder = folder / part
        if (folder / "__init__.py").exists():
            yield folder / "__init__.py"
        elif folder.with_suffix(".py").exists():
            yield folder.with_suffix(".py")


def family_sources(family: str) -> str:
    """SHA-256 of all code that determines what a family's training gives: the family's own and the loop's."""
    return digest(closure(Path("pipelines/train.py"), Path(f"src/{PACKAGE}/models/{family}.py")))


def digest(files: tuple[Path, ...]) -> str:
    """SHA-256 over paths and contents."""
    return sha256("".join(f"{path.as_posix()}\0{sha256(path.read_bytes())}\n" for path in files).encode())


@cache
def _names(text: str, package: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            found += [f"{source}.{item.name}" for item in node.names]
    return tuple(name for name in found if name.split(".")[0] == PACKAGE)
