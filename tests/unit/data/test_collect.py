"""From a folder as a user has it, through fetch and prepare, to arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfoundry.data import DataError
from genfoundry.data.batches import Prepared
from genfoundry.data.prepare import prepare
from genfoundry.data.sources import fetch
from genfoundry.params import Dataset, validate
from tests.unit import tiny
from tests.unit.data.made import picture, write_pictures

Make = Callable[..., Prepared]


@pytest.fixture
def make(workspace: Path) -> Make:
    """Fetches and prepares `own/` by an entry of params.yaml with changes."""

    def run(**entry: Any) -> Prepared:
        base = {"sources": [{"kind": "folder", "path": "own"}], "sha256": {}, "shape": [3, 8, 8], "test_share": 0.3}
        dataset = validate(Dataset, {**base, "licence": "mine", "judge": tiny.EFFNET, **entry}, "datasets.own")
        fetch("own", dataset, workspace / "raw")
        prepare("own", dataset, workspace / "raw", workspace / "prepared")
        return Prepared(workspace / "prepared")

    return run


def contents(data: Prepared, split: str, key: str = "image") -> set[bytes]:
    return {image.tobytes() for image in data.split(split).arrays[key]}


def seen(seed: int) -> bytes:
    """What becomes of `picture(seed)`, which is 12×12, at 8×8."""
    from PIL import Image

    return np.asarray(picture(seed).resize((8, 8), Image.Resampling.LANCZOS)).transpose(2, 0, 1).tobytes()


COUNT = 40
NAMES = [f"{('cat', 'dog')[n % 2]}/{n:02}.png" for n in range(COUNT)]


def test_class_folders_become_labels(make: Make) -> None:
    write_pictures(Path("own"), NAMES)
    data = make(classes=["dog", "cat"])
    total = 0
    for split in ("train", "test"):
        rows = data.split(split)
        labels = {image.tobytes(): label for image, label in zip(rows.images, rows.labels, strict=True)}
        wanted = {seen(n): (1, 0)[n % 2] for n in range(COUNT)}
        assert all(wanted[image] == label for image, label in labels.items())
        total += len(labels)
        assert data.about["class_counts"][split] == np.bincount(rows.labels, minlength=2).tolist()
    assert total == COUNT
    assert not contents(data, "train") & contents(data, "test")
    assert data.spec.classes == ("dog", "cat")
    assert "layout" not in data.about


def test_without_names_for_the_classes_there_are_no_labels(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(Path("own"), NAMES)
    data = make()
    assert set(data.split("test").arrays) == {"image"}
    assert data.spec.classes == ()
    assert "class_counts" not in data.about
    assert sorted(path.name for path in data.folder.iterdir()) == [
        "dataset.json",
        "test_images.npy",
        "train_images.npy",
    ]
    assert "no labels" in capsys.readouterr().out
    with pytest.raises(DataError, match="these data have no label, but image"):
        _ = data.split("test").labels


def test_groups_merge_and_leave_out(make: Make) -> None:
    write_pictures(Path("own"), [f"{group}/{n}.png" for group in ("cat", "lynx", "dog", "car") for n in range(10)])
    data = make(classes=["felid", "canid"], groups={"felid": ["cat", "lynx"], "canid": ["dog"]})
    assert np.sum(list(data.about["class_counts"].values()), axis=0).tolist() == [20, 10]
    assert data.about["left_out"]["other_groups"] == 10


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"classes": ["cat", "bird"]}, "needed are cat, bird, the source has cat, dog; say here which"),
        ({"layout": "pairs"}, "needed are source, target, the source has cat, dog"),
        ({"layout": "domains"}, "needed are a, b, the source has cat, dog"),
        ({"layout": "domains", "groups": {"a": ["cat"], "b": ["dgo"]}}, "there is no dgo; the source has cat, dog"),
    ],
)
def test_groups_that_do_not_fit_are_named_with_those_there_are(make: Make, entry: dict, words: str) -> None:
    write_pictures(Path("own"), NAMES)
    with pytest.raises(DataError, match=rf"^datasets\.own\.groups: {words}"):
        make(**entry)
    assert not Path("prepared").exists()


def test_two_folders_become_domains(make: Make) -> None:
    write_pictures(Path("own"), [f"photos/{n}.jpg" for n in range(30)])
    write_pictures(Path("own"), [f"paintings/{n}.png" for n in range(12)], start=100)
    data = make(layout="domains", groups={"a": ["photos"], "b": ["paintings"]})
    assert data.about["layout"] == "domains"
    counts = data.about["counts"]
    assert [counts["train"][key] + counts["test"][key] for key in "ab"] == [30, 12]
    assert contents(data, "train", "b") | contents(data, "test", "b") == {seen(100 + n) for n in range(12)}
    for split in ("train", "test"):
        assert {key: len(array) for key, array in data.split(split).arrays.items()} == counts[split]


def test_one_name_in_two_folders_is_a_pair(make: Make) -> None:
    write_pictures(Path("own/photos"), [f"x/{n}.bmp" for n in range(20)])
    write_pictures(Path("own/maps"), [f"x/{n}.png" for n in range(18)], start=100)
    write_pictures(Path("own/maps"), ["y/3.png"], start=200)
    data = make(layout="pairs", groups={"source": ["photos"], "target": ["maps"]})
    pairs = {
        (source.tobytes(), target.tobytes())
        for split in ("train", "test")
        for source, target in zip(*(data.split(split).arrays[key] for key in ("source", "target")), strict=True)
    }
    assert pairs == {(seen(n), seen(100 + n)) for n in range(18)}
    assert data.about["left_out"]["unpaired"] == ["all/maps/y/3.png", "all/photos/x/18.bmp", "all/photos/x/19.bmp"]


def test_a_prefix_may_tell_the_sides_of_one_folder(make: Make) -> None:
    write_pictures(Path("own"), [f"{side}_{n}.png" for n in range(10) for side in ("photo", "map")])
    sides = {"photo_*.png": "source", "map_*.png": "target"}
    parts = [{"kind": "folder", "path": "own", "files": files, "group": group} for files, group in sides.items()]
    data = make(layout="pairs", sources=[{"kind": "parts", "parts": parts}])
    assert sum(data.about["counts"].values()) == 10
    row = next(iter(data.split("train").arrays["source"])).tobytes()
    number = next(n for n in range(10) if seen(2 * n) == row)
    assert data.split("train").arrays["target"][0].tobytes() == seen(2 * number + 1)


def test_two_files_cannot_be_one_half_of_a_pair(make: Make) -> None:
    write_pictures(Path("own"), ["source/1.png", "source/1.bmp", "target/1.png"])
    with pytest.raises(DataError, match=r"source/1\.bmp and all/source/1\.png would both be the source of all/1"):
        make(layout="pairs")


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_copies_of_an_image_share_a_side(make: Make, duplicates: str) -> None:
    """Whatever their names, classes and file formats."""
    write_pictures(Path("own"), NAMES)
    for n in range(0, COUNT, 2):
        picture(n).save(Path(f"own/cat/copy of {n}.tiff"))
        picture(n).convert("RGBA").save(Path(f"own/dog/not a dog {n}.png"))
    data = make(classes=["cat", "dog"], duplicates=duplicates)
    assert not contents(data, "train") & contents(data, "test")
    copies = 20 if duplicates == "drop" else 0
    assert sum(data.about["counts"].values()) == COUNT + 40 - copies
    assert data.about["left_out"]["duplicates"] == copies


def test_copies_on_one_side_of_a_pair_hold_both_pairs_together(make: Make) -> None:
    for n in range(30):
        for side, seed in (("source", n // 2), ("target", 100 + n)):
            Path(f"own/{side}").mkdir(parents=True, exist_ok=True)
            picture(seed).save(f"own/{side}/{n}.png")
    data = make(layout="pairs", duplicates="drop")
    assert sum(data.about["counts"].values()) == 30  # no pair is another's copy
    assert not contents(data, "train", "source") & contents(data, "test", "source")


def test_relatives_share_a_side(make: Make) -> None:
    families = [[f"{family}-{n}.png" for n in range(3)] for family in range(15)]
    write_pictures(Path("own/img"), [name for names in families for name in names])
    Path("own/list.json").write_text(json.dumps([{"image": a, "variants": [b, c]} for a, b, c in families]))
    data = make(sources=[{"kind": "folder", "path": "own", "files": "img/*.png", "together": "list.json"}])
    held_out = contents(data, "test")
    assert held_out
    for family in range(15):
        assert sum(seen(3 * family + n) in held_out for n in range(3)) in (0, 3)


def test_an_official_split_is_kept_and_its_leaks_are_counted(make: Make) -> None:
    write_pictures(Path("own"), [f"train/cat/{n}.png" for n in range(12)])
    write_pictures(Path("own"), [f"test/cat/{n}.png" for n in range(6)], start=8)
    data = make()
    assert contents(data, "test") == {seen(n) for n in range(8, 14)}
    assert contents(data, "train") == {seen(n) for n in range(8)}
    assert data.about["left_out_of_training"] == {"also_in_test": 4}


def test_what_gives_no_image_is_listed_by_fetch_and_prepare_alike(
    make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_pictures(Path("own"), NAMES)
    Path("own/cat/empty.png").touch()
    content = Path("own/cat/00.png").read_bytes()
    Path("own/cat/half.png").write_bytes(content[: len(content) // 2])
    Path("own/dog/out.png").symlink_to("/etc/hostname")
    data = make(classes=["cat", "dog"])
    assert set(data.about["quarantined"]) == {"all/cat/empty.png", "all/cat/half.png", "dog/out.png"}
    assert sum(data.about["counts"].values()) == COUNT
    said = capsys.readouterr().out
    assert "own: 3 files give no image and are left out:" in said
    assert all(f"  {name}: {reason}\n" in said for name, reason in data.about["quarantined"].items())


def test_half_of_a_pair_that_is_no_image_leaves_the_other_unpaired(make: Make) -> None:
    write_pictures(Path("own"), [f"{side}/{n}.png" for side in ("source", "target") for n in range(12)])
    Path("own/target/3.png").write_bytes(b"")
    about = make(layout="pairs").about
    assert list(about["quarantined"]) == ["all/target/3.png"]
    assert about["left_out"]["unpaired"] == ["all/source/3.png"]


def test_images_of_another_size_are_put_aside_where_sizes_are_exact(make: Make) -> None:
    write_pictures(Path("own"), NAMES)
    picture(77, (8, 8)).save("own/cat/fits.png")
    picture(78, (8, 8)).save("own/cat/fits too.png")
    picture(79, (8, 8)).save("own/cat/and this.png")
    with pytest.raises(DataError, match="test_share"):
        make(fit="exact", test_share=1e-9)
    data = make(fit="exact", test_share=0.6)
    assert sum(data.about["counts"].values()) == 3
    assert data.about["quarantined"]["all/cat/00.png"] == "is 12×12, not 8×8"


def test_a_split_that_would_be_empty_is_an_error(make: Make) -> None:
    write_pictures(Path("own"), ["a.png", "b.png"])
    with pytest.raises(DataError, match=r"^datasets\.own\.test_share: with 0\.001 no image of 2 images"):
        make(test_share=0.001)


def test_the_limit_takes_from_all_groups(make: Make) -> None:
    write_pictures(Path("own"), [f"{group}/{n}.png" for group in "abcd" for n in range(30)])
    data = make(classes=list("abcd"), limit=20)
    assert data.about["counts"] == {"train": 20, "test": 20}
    assert min(data.about["class_counts"]["train"]) > 0


def test_small_images_are_counted(make: Make) -> None:
    write_pictures(Path("own"), NAMES)
    picture(99, (5, 5)).save("own/cat/tiny.png")
    assert make().about["enlarged"] == 1


def test_the_same_folder_gives_the_same_bytes(make: Make, workspace: Path) -> None:
    write_pictures(Path("own"), NAMES)
    first = {path.name: path.read_bytes() for path in make(classes=["cat", "dog"]).folder.iterdir()}
    (workspace / "own").rename(workspace / "later")
    for name in reversed(NAMES):  # written in another order
        (workspace / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / "own" / name).write_bytes((workspace / "later" / name).read_bytes())
    assert {path.name: path.read_bytes() for path in make(classes=["cat", "dog"]).folder.iterdir()} == first


def test_new_images_move_no_other_to_the_other_side(make: Make) -> None:
    write_pictures(Path("own"), NAMES)
    before = contents(make(), "test")
    write_pictures(Path("own"), [f"bird/{n}.png" for n in range(40)], start=500)
    after = contents(make(), "test")
    assert before == after & {seen(n) for n in range(COUNT)}
    assert len(after) > len(before)


def test_the_fingerprint_tells_layouts_and_contents_apart(make: Make) -> None:
    write_pictures(Path("own"), [f"{side}/{n}.png" for side in "ab" for n in range(20)])
    entries: list[dict[str, Any]] = [
        {"layout": "domains"},
        {"layout": "pairs", "groups": {"source": ["a"], "target": ["b"]}},
        {"layout": "pairs", "groups": {"source": ["b"], "target": ["a"]}},
        {"classes": ["a", "b"]},
        {"classes": ["b", "a"]},
        {},
        {"shape": [1, 8, 8]},
    ]
    prints = [make(**entry).about["fingerprint"] for entry in entries]
    assert len(set(prints)) == len(prints)
    assert make(**entries[0]).about["fingerprint"] == prints[0]


def test_halves_train_on_either_and_hold_out_both(make: Make) -> None:
    """As a judge of unpaired translation: no training image has its counterpart, every held-out one has."""
    families = [[f"{family}-{n}.png" for n in range(2)] for family in range(30)]
    names = [name for family in families for name in family]
    write_pictures(Path("own/img/old"), names)
    write_pictures(Path("own/img/new"), names, start=1000)
    Path("own/list.json").write_text(json.dumps(families))
    source = {"kind": "folder", "path": "own", "files": "img/{group}/*.png", "together": "list.json"}
    data = make(sources=[source], layout="domains", halves=True, groups={"a": ["old"], "b": ["new"]})
    number = {seen(start + n): n for start in (0, 1000) for n in range(60)}
    trained = {key: {number[image] for image in contents(data, "train", key)} for key in "ab"}
    assert min(map(len, trained.values())) > 10
    assert not {n // 2 for n in trained["a"]} & {n // 2 for n in trained["b"]}
    test = data.split("test")
    pairs = [[number[image.tobytes()] for image in test.arrays[key]] for key in "ab"]
    assert pairs[0] == pairs[1]
    assert sum(map(len, trained.values())) + len(pairs[0]) == 60
    assert test.aligned
    assert not data.split("train").aligned
