from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.data.batches import Prepared
from genfoundry.data.prepare import DataError, prepare, row_keys, to_nchw
from genfoundry.files import read_json
from genfoundry.params import Dataset

#: Of the fixture `prepared`, as it was when the first runs were trained.
DATASET_JSON = "01652733b13c966edaae89584ffab378830051c301b2ae9e7c8fcd8fef563854"


def test_arrays_are_nchw_bytes_and_the_record_counts_them(prepared: Path, raw: Path) -> None:
    split = Prepared(prepared).split("train")
    assert split.images.shape == (60, 1, 8, 8)
    assert split.images.dtype == np.uint8
    assert split.labels.dtype == np.int64
    assert np.array_equal(split.images[:, 0], np.load(raw / "train_images.npy"))
    about = read_json(prepared / "dataset.json")
    assert about["counts"] == {"train": 60, "test": 40}
    assert about["class_counts"] == {"train": [30, 30], "test": [20, 20]}
    assert about["left_out_of_training"] == {"also_in_test": 0}


def test_a_training_image_of_the_test_split_is_left_out_with_its_label(raw: Path, dataset: Dataset) -> None:
    train, test = np.load(raw / "train_images.npy"), np.load(raw / "test_images.npy")
    train[[3, 10]] = test[[7, 7]]
    np.save(raw / "train_images.npy", train)
    labels = np.load(raw / "train_labels.npy")
    target = raw.parent / "out"
    prepare("dots", dataset, raw, target)
    left = Prepared(target)
    assert left.about["left_out_of_training"] == {"also_in_test": 2}
    assert np.array_equal(left.split("train").images[:, 0], np.delete(train, [3, 10], axis=0))
    assert np.array_equal(left.split("train").labels, np.delete(labels, [3, 10]))
    assert len(left.split("test")) == 40


def test_limit_keeps_some_of_each_split_in_their_order_even_of_a_file_sorted_by_class(
    raw: Path, dataset: Dataset
) -> None:
    for split in ("train", "test"):
        order = np.argsort(np.load(raw / f"{split}_labels.npy"), kind="stable")
        for what in ("images", "labels"):
            path = raw / f"{split}_{what}.npy"
            np.save(path, np.load(path)[order])
    prepare("dots", dataset.model_copy(update={"limit": 12}), raw, raw.parent / "out")
    limited = Prepared(raw.parent / "out")
    assert limited.about["counts"] == {"train": 12, "test": 12}
    assert all(min(counts) > 0 for counts in limited.about["class_counts"].values())
    all_keys, kept = row_keys(np.load(raw / "test_images.npy")), row_keys(limited.split("test").images[:, 0])
    places = [int(np.flatnonzero(all_keys == image)[0]) for image in kept]
    assert places == sorted(set(places))


def test_a_limit_above_what_there_is_keeps_all(raw: Path, dataset: Dataset) -> None:
    prepare("dots", dataset.model_copy(update={"limit": 1000}), raw, raw.parent / "out")
    assert np.array_equal(Prepared(raw.parent / "out").split("test").images[:, 0], np.load(raw / "test_images.npy"))


@pytest.mark.parametrize(
    ("file", "array", "words"),
    [
        ("train_images", np.zeros((60, 9, 8), np.uint8), r"^datasets\.dots\.shape: .*\(1, 8, 8\).*\(1, 9, 8\)"),
        ("train_images", np.zeros((60, 8, 8, 3), np.uint8), r"^datasets\.dots\.shape: .*\(3, 8, 8\)"),
        ("test_images", np.zeros((40, 8, 8), np.float32), r"^datasets\.dots\.shape: .*float32"),
        ("train_labels", np.full(60, 2), r"^datasets\.dots\.classes: 2 names, but labels up to 2"),
        ("test_labels", np.full(40, -1), r"^datasets\.dots\.classes"),
        ("train_labels", np.zeros(59, int), r"^dots: 60 train images but 59 labels"),
    ],
)
def test_data_that_differs_from_params_is_refused(
    raw: Path, dataset: Dataset, file: str, array: np.ndarray, words: str
) -> None:
    np.save(raw / f"{file}.npy", array)
    with pytest.raises(DataError, match=words):
        prepare("dots", dataset, raw, raw.parent / "out")
    assert not (raw.parent / "out").exists()


@pytest.mark.parametrize("file", ["train_images", "train_labels", "test_images", "test_labels"])
def test_fingerprint_follows_the_content(prepared: Path, raw: Path, dataset: Dataset, file: str) -> None:
    again = raw.parent / "again"
    prepare("dots", dataset, raw, again)
    assert Prepared(again).about == Prepared(prepared).about
    array = np.load(raw / f"{file}.npy")
    array[0] = 1 - array[0] if array.ndim == 1 else array[0] + 1
    np.save(raw / f"{file}.npy", array)
    prepare("dots", dataset, raw, raw.parent / "other")
    assert Prepared(raw.parent / "other").about["fingerprint"] != Prepared(prepared).about["fingerprint"]


def test_colour_channels_move_before_the_pixels(dataset: Dataset) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    found = to_nchw("dots", images, dataset.model_copy(update={"shape": (3, 8, 8)}))
    assert found.flags.c_contiguous
    assert np.array_equal(found[1, 2], images[1, :, :, 2])


def test_row_keys_are_equal_for_equal_images_alone() -> None:
    images = np.random.default_rng(0).integers(0, 2, (500, 1, 2, 2)).astype(np.uint8)
    _, by_key = np.unique(row_keys(images), return_inverse=True)
    _, by_pixel = np.unique(images.reshape(500, -1), axis=0, return_inverse=True)
    pairs = {*zip(by_key.ravel(), by_pixel.ravel(), strict=True)}
    assert len(pairs) == len(set(by_key.ravel())) == len(set(by_pixel.ravel()))


def test_arrays_are_resized_only_where_the_entry_says_so(raw: Path, dataset: Dataset) -> None:
    wider = dataset.model_copy(update={"shape": (1, 12, 12)})
    with pytest.raises(DataError, match=r"^datasets\.dots\.shape"):
        prepare("dots", wider, raw, raw.parent / "out")
    prepare("dots", wider.model_copy(update={"fit": "resize"}), raw, raw.parent / "out")
    resized = Prepared(raw.parent / "out")
    first = Image.fromarray(np.load(raw / "train_images.npy")[0]).resize((12, 12), Image.Resampling.LANCZOS)
    assert np.array_equal(resized.split("train").images[0, 0], np.asarray(first))
    assert "Lanczos" in resized.about["resize"]
    assert np.array_equal(resized.split("train").labels, np.load(raw / "train_labels.npy"))


@pytest.mark.parametrize(("channels", "shape"), [(3, (3, 6, 6)), (3, (1, 6, 6)), (1, (3, 6, 6))])
def test_resizing_changes_channels_too(dataset: Dataset, channels: int, shape: tuple[int, int, int]) -> None:
    images = np.full((2, 8, 10, channels), 77, np.uint8)
    found = to_nchw("dots", images, dataset.model_copy(update={"shape": shape, "fit": "resize"}))
    assert found.shape == (2, *shape)
    assert (found == 77).all()


def test_images_that_fit_are_not_touched(raw: Path, dataset: Dataset, prepared: Path) -> None:
    prepare("dots", dataset.model_copy(update={"fit": "resize"}), raw, raw.parent / "out")
    assert Prepared(raw.parent / "out").about["fingerprint"] == Prepared(prepared).about["fingerprint"]


def test_what_is_written_of_arrays_does_not_move(prepared: Path) -> None:
    """Trained runs hang on the fingerprint, and everything else on the bytes."""
    assert hashlib.sha256((prepared / "dataset.json").read_bytes()).hexdigest() == DATASET_JSON
    assert sorted(path.name for path in prepared.iterdir()) == [
        "dataset.json",
        "test_images.npy",
        "test_labels.npy",
        "train_images.npy",
        "train_labels.npy",
    ]
