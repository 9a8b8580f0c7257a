from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from genfoundry.data import SourceError
from genfoundry.data.trees import (
    Leaf,
    Tree,
    compile_pattern,
    digest,
    files_below,
    leaves,
    read_refused,
    read_together,
    relatives,
    stamp,
    usual_patterns,
)
from genfoundry.params import Source, validate
from tests.unit.data.made import picture, write_pictures


def planted(folder: Path, **source: Any) -> list[str]:
    """The tree that a folder `from` gives, as names; it lies in `raw`."""
    tree = Tree(folder / "raw")
    (folder / "raw").mkdir()
    tree.add(validate(Source, {"kind": "folder", "path": "from", **source}), folder / "from", "title")
    tree.finish()
    return [str(leaf) for leaf in leaves(folder / "raw")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "b.jpg"], ["all/images/a.png", "all/images/b.jpg"]),
        (["cat/a.png", "dog/a.png"], ["all/cat/a.png", "all/dog/a.png"]),
        (["cat/deep/er/a.png", "dog/a.png"], ["all/cat/deep/er/a.png", "all/dog/a.png"]),
        (["cat/a.png", "b.png"], ["all/cat/a.png", "all/images/b.png"]),
        (["train/cat/a.png", "test/cat/a.png"], ["test/cat/a.png", "train/cat/a.png"]),
        (["train/a.png", "test/a.png"], ["test/images/a.png", "train/images/a.png"]),
        (["train/cat/a.png", "train/b.png"], ["all/cat/a.png", "all/images/b.png"]),
        (["train/a.png", "plane/a.png"], ["all/plane/a.png", "all/train/a.png"]),  # means of transport
        (["cat/.a.png", ".git/b.png", "cat/c.png"], ["all/cat/c.png"]),
    ],
)
def test_a_folder_that_nobody_describes(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    write_pictures(tmp_path / "from", names)
    assert planted(tmp_path) == expected


def test_a_third_split_has_to_be_assigned(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", [f"{split}/cat/a.png" for split in ("train", "val", "test")])
    with pytest.raises(SourceError, match="split 'val' is neither train nor test: say where it goes"):
        planted(tmp_path)


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": ["train", "val"], "test": ["test"]}, ["test/cat/2.png", "train/cat/0.png", "train/cat/1.png"]),
        ({"train": ["train"], "test": ["val"]}, ["test/cat/1.png", "train/cat/0.png"]),
    ],
)
def test_splits_are_made_of_the_source_s(tmp_path: Path, splits: dict, expected: list[str]) -> None:
    names = [f"{split}/cat/{n}.png" for n, split in enumerate(("train", "val", "test"))]
    write_pictures(tmp_path / "from", names)
    assert planted(tmp_path, splits=splits) == expected


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("img/64/*.png", {"img/64/a.png": (None, None, "a.png"), "img/64/b/a.png": None, "img/64/a.jpg": None}),
        ("**/*.png", {"a.png": (None, None, "a.png"), "x/y/a.png": (None, None, "x/y/a.png")}),
        ("x/{group}/**.png", {"x/cat/b/a.png": (None, "cat", "b/a.png"), "x/a.png": None}),
        ("{split}-{group}/*", {"train-cat/a": ("train", "cat", "a"), "train/a": None}),
        ("x/*/{group}/img_*.png", {"x/1/cat/img_7.png": (None, "cat", "7.png"), "x/1/cat/7.png": None}),
        ("a+b/*.png", {"a+b/c.png": (None, None, "c.png"), "aab/c.png": None, "a+b/cxpng": None}),
    ],
)
def test_patterns(pattern: str, matches: dict[str, tuple[str | None, ...] | None]) -> None:
    for name, expected in matches.items():
        match = compile_pattern(pattern).fullmatch(name)
        found = match and tuple(match.groupdict().get(key) for key in ("split", "group", "name"))
        assert found == expected, name


def test_usual_patterns_need_a_training_split() -> None:
    assert usual_patterns(["test/a/1", "val/a/1"]) == ["{group}/**", "*"]
    assert usual_patterns(["train/a/1", "val/a/1"])[0] == "{split}/{group}/**"


def test_a_fixed_group_and_a_pattern_choose_and_name(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", ["img/64/a.png", "img/32/a.png", "readme.png"])
    assert planted(tmp_path, files="img/64/*.png", group="source") == ["all/source/a.png"]
    assert read_refused(tmp_path / "raw") == {}


def test_nothing_chosen_is_an_error(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", ["a.png"])
    with pytest.raises(SourceError, match=r"no image with \*\.jpg among 1 files"):
        planted(tmp_path, files="*.jpg")


def test_two_files_cannot_have_one_place(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", ["x/cat/a.png", "y/cat/a.png"])
    with pytest.raises(SourceError, match=r"x/cat/a\.png and y/cat/a\.png would both be all/cat/a\.png"):
        planted(tmp_path, files="*/{group}/*.png")


def test_links_and_special_files_are_refused_by_name(tmp_path: Path) -> None:
    source = tmp_path / "from"
    write_pictures(source, ["cat/a.png", "dog/b.png"])
    write_pictures(tmp_path / "outside", ["secret.png"])
    (source / "cat/inside.png").symlink_to(source / "cat/a.png")
    (source / "cat/out.png").symlink_to(tmp_path / "outside/secret.png")
    (source / "cat/up.png").symlink_to("../../outside/secret.png")
    (source / "cat/broken.png").symlink_to("nowhere.png")
    (source / "cat/circle.png").symlink_to("circle.png")
    (source / "more").symlink_to(tmp_path / "outside")
    (source / "again").symlink_to(source / "dog")
    os.mkfifo(source / "dog/pipe.png")
    assert planted(tmp_path) == ["all/cat/a.png", "all/cat/inside.png", "all/dog/b.png"]
    assert not (tmp_path / "raw/all/cat/inside.png").is_symlink()
    assert read_refused(tmp_path / "raw") == {
        "again": "a link to a folder",
        "cat/broken.png": "a link that leads nowhere",
        "cat/circle.png": "a link that leads nowhere",
        "cat/out.png": "a link that leaves the folder",
        "cat/up.png": "a link that leaves the folder",
        "dog/pipe.png": "not a plain file",
        "more": "a link that leaves the folder",
    }


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", ["a.png"])
    (tmp_path / "from" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    assert planted(tmp_path) == ["all/images/a.png"]
    assert read_refused(tmp_path / "raw") == {"caf?.png": "its name is not UTF-8"}


def test_odd_names_are_kept(tmp_path: Path) -> None:
    names = ["größe 1 (kopie).png", "tab\there.png", "%2e%2e.png", "-rf.png", "ünï/ℵ.png"]
    write_pictures(tmp_path / "from", names)
    assert {leaf.split("/", 2)[2] for leaf in planted(tmp_path)} == {name.rpartition("/")[2] for name in names}


def encoded(seed: int) -> bytes:
    from tests.unit.data.test_images import encoded as encode

    return encode("PNG", picture(seed))


def write_table(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


TABLE = {"file": "data/*.parquet", "image": "image", "group": "kind", "split": "part"}


@pytest.mark.parametrize("struct", [False, True])
def test_rows_of_parquet_files_are_images(tmp_path: Path, struct: bool) -> None:
    images = [encoded(n) for n in range(4)]
    cells = [{"bytes": image, "path": "x"} for image in images] if struct else images
    write_table(
        tmp_path / "from/data/1.parquet", image=cells[:3], kind=["a", "b", "a"], part=["train", "train", "test"]
    )
    write_table(tmp_path / "from/data/2.parquet", image=cells[3:], kind=["b"], part=["test"])
    names = planted(tmp_path, table=TABLE)
    assert names == ["test/a/000002", "test/b/000003", "train/a/000000", "train/b/000001"]
    assert [(tmp_path / "raw" / name).read_bytes() for name in names] == [images[n] for n in (2, 3, 0, 1)]


def test_numbers_are_groups_too_and_an_empty_cell_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "from/a.parquet", image=[encoded(0), None, encoded(2)], label=[7, 7, 8])
    table = {"file": "a.parquet", "image": "image", "group": "label"}
    assert planted(tmp_path, table=table) == ["all/7/000000", "all/8/000002"]
    assert read_refused(tmp_path / "raw") == {"row 1": "holds no image"}


def test_a_column_of_paths_holds_no_image(tmp_path: Path) -> None:
    write_table(tmp_path / "from/a.parquet", image=["a.png", "b.png"], label=[7, 8])
    with pytest.raises(SourceError, match=r"^no image with a\.parquet"):
        planted(tmp_path, table={"file": "a.parquet", "image": "image", "group": "label"})


@pytest.mark.parametrize("group", ["..", ".", "", "a/../../b", "/etc", "a\0b"])
def test_a_group_that_is_a_path_is_refused(tmp_path: Path, group: str) -> None:
    write_table(tmp_path / "from/data/1.parquet", image=[encoded(0)], kind=[group], part=["train"])
    with pytest.raises(SourceError, match=r"row 0: .* cannot be the name of a group"):
        planted(tmp_path, table=TABLE)
    assert not list(tmp_path.rglob("000000*"))


def test_a_column_that_is_missing_is_named_with_those_there_are(tmp_path: Path) -> None:
    write_table(tmp_path / "from/data/1.parquet", image=[encoded(0)], label=["a"])
    with pytest.raises(SourceError, match=r"1\.parquet has no column kind, part; there are image, label"):
        planted(tmp_path, table=TABLE)


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    write_table(tmp_path / "from/data/1.parquet", image=[encoded(0)], kind=["a"], part=["test"])
    path = tmp_path / "from/data/1.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"1\.parquet is damaged"):
        planted(tmp_path, table=TABLE)


def test_relatives_are_the_files_that_an_entry_names(tmp_path: Path) -> None:
    entries = [
        {"image": "a.png", "name": "b", "variations": {"1": {"image": "a-1.png"}, "2": ["a-2.png", 5, None]}},
        {"image": "b.png", "variations": {}},
        {"image": "gone.png", "variation": "gone-1.png"},
    ]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    write_pictures(tmp_path, ["a.png", "x/a-1.png", "a-2.png", "b.png"])
    assert relatives(files_below(tmp_path)[0], "list.json") == [["a-1.png", "a-2.png", "a.png"]]


@pytest.mark.parametrize("content", ["{}", "[1", "", '"a"'])
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(SourceError, match=r"list\.json is not"):
        relatives(files_below(tmp_path)[0], "list.json")
    with pytest.raises(SourceError, match=r"other\.json is not"):
        relatives({}, "other.json")


def test_what_belongs_together_is_written_beside_the_images(tmp_path: Path) -> None:
    write_pictures(tmp_path / "from", ["img/a.png", "img/b.png"])
    (tmp_path / "from/kin.json").write_text('[["a.png", "b.png"]]')
    planted(tmp_path, files="img/*.png", together="kin.json")
    assert read_together(tmp_path / "raw") == [["a.png", "b.png"]]


def test_the_digest_follows_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        write_pictures(folder, ["x/1.png", "2.png"])
    os.utime(folders[1] / "2.png", (0, 0))
    (folders[2] / "2.png").rename(folders[2] / "3.png")
    (folders[3] / "2.png").write_bytes(b"other")
    first, same, renamed, rewritten = map(digest, folders)
    assert first == same
    assert len({first, renamed, rewritten}) == 3


def test_a_stamp_follows_what_a_look_at_the_folder_shows(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["x/1.png", "2.png"])
    before = stamp(tmp_path)
    assert stamp(tmp_path) == before
    os.utime(tmp_path / "2.png", (0, 0))
    touched = stamp(tmp_path)
    (tmp_path / "x/1.png").unlink()
    assert len({before, touched, stamp(tmp_path)}) == 3


def test_leaves_are_sorted_and_know_their_place(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["train/b/x/1.png", "all/a/2.png"])
    (tmp_path / "together.json").write_text("[]")
    assert leaves(tmp_path) == [Leaf("all", "a", "2.png"), Leaf("train", "b", "x/1.png")]
