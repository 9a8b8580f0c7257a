"""Images in files, laid out alike whatever the source was: `<raw>/<train, test or all>/<group>/<name>`.

Beside the splits lie `together.json`, lists of names that must not be separated, and `refused.json`, what was not
taken and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genfoundry.data import SourceError
from genfoundry.files import read_json, sha256, sha256_file, write_json
from genfoundry.params import Source, Table
from genfoundry.progress import progress

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

UNSPLIT = "all"
SPLITS = ("train", "test", UNSPLIT)
TOGETHER, REFUSED = "together.json", "refused.json"
ROWS = 64  # of a Parquet file that are in memory at once

_OTHER_SPLITS = {"val", "valid", "validation", "dev"}
_WILDCARDS = {
    "**/": "(?:.+/)?",
    "**": ".+",
    "*": "[^/]*",
    "{group}": "(?P<group>[^/]+)",
    "{split}": "(?P<split>[^/]+)",
}


@dataclass(frozen=True, order=True)
class Leaf:
    """One image file of a raw tree. `name` may hold folders."""

    split: str
    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.split}/{self.group}/{self.name}"


class Tree:
    """A raw folder while it is filled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._origin: dict[str, str] = {}  # of each leaf, in its source
        self._together: list[list[str]] = []
        self._refused: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._origin)

    def add(self, source: Source, root: Path, title: str) -> None:
        """Copy the images that `source` selects among the files below `root`.

        Raises:
            SourceError: there are none, two would have one name, or a split or column is not as params.yaml says.
        """
        files, refused = files_below(root)
        before = len(self)
        if source.table:
            self._add_table(source, source.table, files, title)
        else:
            self._add_files(source, files, refused, title)
        if len(self) == before:
            what = source.table.file if source.table else source.files or "any name"
            raise SourceError(f"no image with {what} among {len(files)} files")
        if source.together:
            self._together += relatives(files, source.together)

    def finish(self) -> str:
        """Write what is known beside the images; the SHA-256 of the whole."""
        write_json(self._folder / TOGETHER, sorted(self._together))
        write_json(self._folder / REFUSED, dict(sorted(self._refused.items())))
        return digest(self._folder)

    def _add_files(self, source: Source, files: Mapping[str, Path], refused: Mapping[str, str], title: str) -> None:
        patterns = [*map(compile_pattern, [source.files] if source.files else usual_patterns(files))]
        matched = {name: match_any(patterns, name) for name in (*files, *refused)}
        if not source.files:
            self._refused |= {name: "lies in none of the splits" for name, match in matched.items() if not match}
        self._refused |= {name: reason for name, reason in refused.items() if matched[name]}
        chosen = [(name, match.groupdict()) for name, match in matched.items() if match and name in files]
        for name, parts in progress(chosen, title, total=len(chosen), unit="file"):
            leaf = self._leaf(source, parts.get("split"), parts.get("group"), parts["name"], name)
            if leaf:
                shutil.copyfile(files[name], self._place(leaf))

    def _add_table(self, source: Source, table: Table, files: Mapping[str, Path], title: str) -> None:
        pattern = compile_pattern(table.file)
        tables = [open_table(path, table) for name, path in files.items() if pattern.fullmatch(name)]
        total = sum(opened.metadata.num_rows for opened in tables)
        for number, row in enumerate(progress(rows_of(tables, table), title, total=total, unit="row")):
            image, group, split = row
            if not isinstance(image, bytes):
                self._refused[f"row {number}"] = "holds no image"
                continue
            leaf = self._leaf(source, split, group, f"{number:06d}", f"row {number}")
            if leaf:
                self._place(leaf).write_bytes(image)

    def _leaf(self, source: Source, split: str | None, group: str | None, name: str, origin: str) -> Leaf | None:
        """Where an image belongs, or None where params.yaml takes nothing of its split."""
        side = side_of(source, split)
        if side is None:
            return None
        group = source.group if group is None else group
        if group in ("", ".", "..") or "/" in group or "\0" in group:
            raise SourceError(f"{origin}: {group!r} cannot be the name of a group")
        leaf = Leaf(side, group, name)
        if str(leaf) in self._origin:
            raise SourceError(f"{self._origin[str(leaf)]} and {origin} would both be {leaf}")
        self._origin[str(leaf)] = origin
        return leaf

    def _place(self, leaf: Leaf) -> Path:
        path = self._folder / str(leaf)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def side_of(source: Source, split: str | None) -> str | None:
    """The split of ours that an image of the source's `split` goes to; None where that was left out by intent.

    Raises:
        SourceError: nobody said where it goes.
    """
    if split is None:
        return UNSPLIT
    if source.splits:
        return next((side for side, names in source.splits.items() if split in names), None)
    if split not in ("train", "test"):
        raise SourceError(
            f"split {split!r} is neither train nor test: say where it goes, as in splits: {{train: [train, val]}}"
        )
    return split


def files_below(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Plain files by relative name, sorted, and for others the reason to refuse them. Hidden ones are neither."""
    files: dict[str, Path] = {}
    refused: dict[str, str] = {}

    def unread(error: OSError) -> None:
        refused[Path(error.filename).relative_to(root).as_posix()] = f"cannot be listed: {error.strerror}"

    for folder, folders, names in os.walk(root, onerror=unread):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*links, *names]):
            if not name.startswith("."):
                path = Path(folder) / name
                relative = path.relative_to(root).as_posix()
                reason = refusal(path, root)
                if reason:
                    refused[relative.encode(errors="replace").decode()] = reason
                else:
                    files[relative] = path
    return dict(sorted(files.items())), refused


def refusal(path: Path, root: Path) -> str | None:
    """Why a file is not taken, if it is not."""
    try:
        path.relative_to(root).as_posix().encode()
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "a link that leaves the folder"
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except (OSError, RuntimeError):  # as Python says that links go round in a circle
        return "a link that leads nowhere"
    if path.is_dir():
        return "a link to a folder"
    if not path.is_file():
        return "not a plain file"
    return None if os.access(path, os.R_OK) else "not readable"


def usual_patterns(names: Iterable[str]) -> list[str]:
    """How a folder is read whose layout nobody describes: splits, if it has them, then groups, if it has them."""
    tops = {name.split("/")[0] for name in names if "/" in name}
    if tops == {"train"}:
        return ["train/{group}/**", "train/*"]
    if "train" in tops and tops <= {"train", "test", *_OTHER_SPLITS}:
        return ["{split}/{group}/**", "{split}/*"]
    return ["{group}/**", "*"]


def match_any(patterns: Iterable[re.Pattern[str]], name: str) -> re.Match[str] | None:
    """The first match."""
    return next(filter(None, (pattern.fullmatch(name) for pattern in patterns)), None)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`*` within a name, `**` across folders, `{group}` and `{split}` for one folder's name each.

    From the first wildcard after the last placeholder on, it is the image's own name.
    """
    tokens = re.split(r"(\*\*/|\*\*|\*|\{group\}|\{split\})", pattern)
    words = [_WILDCARDS.get(token, re.escape(token)) for token in tokens]
    after = max((i for i, token in enumerate(tokens) if token.startswith("{")), default=-1)
    start = next((i for i, token in enumerate(tokens) if i > after and token.startswith("*")), len(tokens))
    return re.compile("".join([*words[:start], "(?P<name>", *words[start:], ")"]))


def open_table(path: Path, table: Table) -> ParquetFile:
    """A Parquet file that has the columns it should have.

    Raises:
        SourceError: damaged, or without such a column.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        opened = ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    known = opened.schema_arrow.names
    missing = [column for column in columns_of(table) if column not in known]
    if missing:
        raise SourceError(f"{path.name} has no column {', '.join(missing)}; there are {', '.join(known)}")
    return opened


def columns_of(table: Table) -> list[str]:
    """Those that are read."""
    return [column for column in (table.image, table.group, table.split) if column]


def rows_of(tables: Iterable[ParquetFile], table: Table) -> Iterator[tuple[bytes | None, str | None, str | None]]:
    """Encoded image, group and split of each row, the last two None where `table` names no column for them.

    The image column holds bytes or, as Hugging Face writes it, structs with a field `bytes`.
    """
    for opened in tables:
        for batch in opened.iter_batches(ROWS, columns=columns_of(table)):
            for row in batch.to_pylist():
                image = row[table.image]
                image = image.get("bytes") if isinstance(image, dict) else image
                group, split = (str(row[column]) if column else None for column in (table.group, table.split))
                yield (image if isinstance(image, bytes) else None, group, split)


def relatives(files: Mapping[str, Path], path: str) -> list[list[str]]:
    """Names of files that stand in one entry of a JSON list, wherever in it.

    Raises:
        SourceError: no such file, or not a list.
    """
    known = {Path(name).name for name in files}
    try:
        entries = json.loads(files[path].read_bytes()) if path in files else None
    except ValueError as error:
        raise SourceError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise SourceError(f"together: {path} is not a file with a JSON list")
    named = [sorted({text for text in strings(entry) if text in known}) for entry in entries]
    return [names for names in named if len(names) > 1]


def strings(tree: Any) -> Iterator[str]:
    """All strings in a JSON tree that are values."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(value)


def leaves(raw: Path) -> list[Leaf]:
    """The images of a raw folder, sorted."""
    found = (path.relative_to(raw).parts for path in raw.rglob("*") if path.is_file())
    return sorted(Leaf(parts[0], parts[1], "/".join(parts[2:])) for parts in found if parts[0] in SPLITS)


def read_together(raw: Path) -> list[list[str]]:
    """Lists of names that must not be separated."""
    return read_json(raw / TOGETHER)


def read_refused(raw: Path) -> dict[str, str]:
    """What the source held and fetch did not take, with the reasons."""
    return read_json(raw / REFUSED)


def is_tree(raw: Path) -> bool:
    """Images in files rather than arrays."""
    return (raw / TOGETHER).exists()


def stamp(root: Path) -> str:
    """SHA-256 over the names, sizes and times of the files below a folder: another one when something changed."""
    files, refused = files_below(root)
    about = {name: (path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()}
    return sha256(repr((about, sorted(refused))).encode())


def digest(folder: Path) -> str:
    """SHA-256 over the sorted relative names and contents of all files below a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return total.hexdigest()
