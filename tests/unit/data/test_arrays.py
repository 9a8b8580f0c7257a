from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.data import SourceError
from genfoundry.data.arrays import decode, read_csv, read_idx, read_json_labels, read_npy, read_sheet
from tests.unit.data.made import IMAGES, LABELS, idx, write_idx


def csv(images: np.ndarray, labels: np.ndarray) -> str:
    table = np.column_stack([labels, images.reshape(len(images), -1)])
    header = ",".join(["label", *(f"p{i}" for i in range(table.shape[1] - 1))])
    return "\n".join([header, *(",".join(map(str, row)) for row in table), ""])


@pytest.mark.parametrize("array", [IMAGES, LABELS, np.zeros((0, 3), np.uint8)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"array{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)


def scrambled(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[12] ^= 0xFF
    packed[14] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short", idx(IMAGES)[:-1], "truncated"),
        ("long", idx(IMAGES) + b"x", "truncated"),
        ("magic", b"\x89PNG" + bytes(100), "not an IDX"),
        ("floats", b"\0\0\x0d\x01\0\0\0\0", "not an IDX"),
        ("empty", b"", "not an IDX"),
        ("cut.gz", gzip.compress(idx(IMAGES))[:-20], "damaged"),
        ("plain.gz", idx(IMAGES), "damaged"),
        ("header", idx(IMAGES)[:8], "not an IDX file"),
        ("bits.gz", scrambled(idx(IMAGES)), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # gzip's bytes hold the time
)
def test_damaged_idx_is_refused_by_name(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=f"{name}.*{words}"):
        read_idx(tmp_path / name)


def test_csv_round_trip(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv(IMAGES, LABELS))
    labels, images = read_csv(tmp_path / "a.csv")
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(images, IMAGES)
    assert labels.dtype == images.dtype == np.uint8


@pytest.mark.parametrize(
    "text",
    [
        "l,a,b,c,d\n1,2,3,4\n",
        "l,a,b,c,d\n1,2,3,4,five\n",
        "l,a,b,c,d\n1,2,3,4,256\n",
        "l,a,b,c,d\n1,2,3,4,-1\n",
        "l,a,b,c\n1,2,3,4\n",
        "l,a,b,c,d\n1,2,3,4\n1,2,3,4,5,6\n",
        "l,a,b,c,d\n",
    ],
)
def test_damaged_csv_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=r"a\.csv"):
        read_csv(tmp_path / "a.csv")


def test_decode_finds_idx_and_csv_anywhere_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "package" / "data").mkdir(parents=True)
    write_idx(tmp_path / "package" / "data")
    (tmp_path / "some_test.csv").write_text(csv(IMAGES[:2], LABELS[:2]))
    arrays = decode(tmp_path)
    assert set(arrays) == {"train_images", "train_labels", "test_images", "test_labels"}
    assert np.array_equal(arrays["train_images"], IMAGES)
    assert np.array_equal(arrays["test_labels"], LABELS[:2])


def test_decode_refuses_a_folder_without_known_files(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("nothing")
    with pytest.raises(SourceError, match="no file in a known format among 1 files"):
        decode(tmp_path)


def write_sheets(folder: Path, rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's five training batches and its test batch; their images and labels, in that order."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(2).integers(0, 256, (6 * rows, 32, 32, 3)).astype(np.uint8)
    labels = np.random.default_rng(3).integers(0, 10, 6 * rows).astype(np.uint8)
    names = [*(f"data_batch_{n}.png" for n in range(1, 6)), "test_batch.png"]
    for name, batch in zip(names, np.split(images, 6), strict=True):
        Image.fromarray(batch.reshape(rows, 1024, 3)).save(folder / name)
    (folder / "train_lables.json").write_text(json.dumps(labels[: 5 * rows].tolist()))
    (folder / "test_lables.json").write_text(json.dumps(labels[5 * rows :].tolist()))
    return images, labels


def test_sheets_hold_an_image_a_row(tmp_path: Path) -> None:
    images, labels = write_sheets(tmp_path / "package")
    arrays = decode(tmp_path)
    assert np.array_equal(np.concatenate([arrays["train_images"], arrays["test_images"]]), images)
    assert np.array_equal(np.concatenate([arrays["train_labels"], arrays["test_labels"]]), labels)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}


def test_a_split_with_a_sheet_missing_is_not_there(tmp_path: Path) -> None:
    write_sheets(tmp_path / "package")
    (tmp_path / "package/data_batch_4.png").unlink()
    assert set(decode(tmp_path)) == {"test_images", "test_labels"}


def test_a_damaged_or_strange_sheet_is_refused_by_name(tmp_path: Path) -> None:
    write_sheets(tmp_path / "package")
    sheet = tmp_path / "package/test_batch.png"
    with pytest.raises(SourceError, match=r"test_batch\.png: a row holds 3072 values, an image has 768"):
        read_sheet(sheet, (16, 16, 3))
    sheet.write_bytes(sheet.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"test_batch\.png is damaged"):
        decode(tmp_path)


@pytest.mark.parametrize("text", ["[1, 2", '["cat"]', "[300]", "[-1]", "[null]", '{"a": 1}'])
def test_labels_that_are_no_list_of_bytes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=r"a\.json is not a list of labels"):
        read_json_labels(tmp_path / "a.json")


def test_arrays_of_numpy_come_before_other_formats(tmp_path: Path) -> None:
    write_idx(tmp_path)
    np.save(tmp_path / "train_images.npy", IMAGES[::-1])
    arrays = decode(tmp_path)
    assert np.array_equal(arrays["train_images"], IMAGES[::-1])
    assert np.array_equal(arrays["test_images"], IMAGES)


@pytest.mark.parametrize("array", [IMAGES.astype(np.float32), np.array([{}]), np.array(["a"])])
def test_only_bytes_are_read_from_numpy_files(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(SourceError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


def test_a_truncated_numpy_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"a\.npy is damaged"):
        read_npy(tmp_path / "a.npy")
