"""Files that hold whole arrays of images or labels, in the formats of the field's classical data sets."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from genfoundry.data import SourceError
from genfoundry.params import Part

_IDX_FILES: Mapping[Part, str] = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

# CIFAR-10's batches as pictures of one image a row, and their labels; the spelling is the files'.
_SHEETS = {"train": tuple(f"data_batch_{n}.png" for n in range(1, 6)), "test": ("test_batch.png",)}
_SHEET_LABELS = "{}_lables.json"
_SHEET_SHAPE = (32, 32, 3)


def decode(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that the files below `folder` hold: .npy, IDX, CSV or sheets.

    Raises:
        SourceError: nothing readable, or a damaged file.
    """
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}
    arrays = {key: array for read in (_idx, _csv, _sheets, _npy) for key, array in read(files)}
    if not arrays:
        raise SourceError(f"no file in a known format among {len(files)} files")
    return arrays


def _idx(files: Mapping[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    for key, stem in _IDX_FILES.items():
        path = files.get(stem) or files.get(f"{stem}.gz")
        if path:
            yield key, read_idx(path)


def _csv(files: Mapping[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    for name, path in files.items():
        if name.endswith(("_train.csv", "_test.csv")):
            split = path.stem.rpartition("_")[2]
            labels, images = read_csv(path)
            yield from ((f"{split}_labels", labels), (f"{split}_images", images))


def _sheets(files: Mapping[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    for split, sheets in _SHEETS.items():
        labels = files.get(_SHEET_LABELS.format(split))
        if labels and all(sheet in files for sheet in sheets):
            yield f"{split}_images", np.concatenate([read_sheet(files[sheet], _SHEET_SHAPE) for sheet in sheets])
            yield f"{split}_labels", read_json_labels(labels)


def _npy(files: Mapping[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    for key in _IDX_FILES:
        if f"{key}.npy" in files:
            yield key, read_npy(files[f"{key}.npy"])


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (LeCun's format): magic, one big-endian size for each axis, the bytes.

    Raises:
        SourceError: another type, or a length that is not what the header says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    axes = content[3] if len(content) > 4 and content[:3] == b"\0\0\x08" else 0
    if not axes or len(content) < 4 + 4 * axes:
        raise SourceError(f"{path.name} is not an IDX file of bytes")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4))
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if data.size != np.prod(shape, dtype=np.int64):
        raise SourceError(f"{path.name} is truncated: {data.size} bytes for shape {shape}")
    return data.reshape(shape)


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and square images (N, H, H), from lines `label, pixel, pixel, …` below a header.

    Raises:
        SourceError: lines of unequal length or values that are not bytes.
    """
    try:
        table = np.loadtxt(path, dtype=np.int16, delimiter=",", skiprows=1, ndmin=2)
    except ValueError as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    columns = table.shape[1]
    side = round((columns - 1) ** 0.5)
    if not table.size or side**2 != columns - 1 or table.min() < 0 or table.max() > 255:
        raise SourceError(f"{path.name} does not hold square images of bytes")
    table = table.astype(np.uint8)
    return table[:, 0], table[:, 1:].reshape(-1, side, side)


def read_sheet(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Images (N, *shape) from a lossless picture whose row n is image n, its pixels in reading order.

    Raises:
        SourceError: damaged, or rows of another length.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            rows = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    if rows[0].size != np.prod(shape):
        raise SourceError(f"{path.name}: a row holds {rows[0].size} values, an image has {np.prod(shape)}")
    return rows.reshape(-1, *shape)


def read_json_labels(path: Path) -> np.ndarray:
    """Labels (N,) from a JSON list of small numbers.

    Raises:
        SourceError: anything else.
    """
    try:
        return np.array(json.loads(path.read_bytes()), dtype=np.uint8).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"{path.name} is not a list of labels: {error}") from error


def read_npy(path: Path) -> np.ndarray:
    """An array of bytes.

    Raises:
        SourceError: damaged, or of another type.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        raise SourceError(f"{path.name} does not hold bytes")
    return array
