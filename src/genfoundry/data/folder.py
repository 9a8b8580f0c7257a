"""A folder of image files as one array, or an error that says what is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genfoundry.data import DataError
from genfoundry.data.decoding import parallel
from genfoundry.data.images import FORMATS, Unreadable, read_image

NAMED = 3  # sizes or files in an error
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values for what lies on its side


def files_of(folder: Path) -> list[Path]:
    """Its files and those of its sub-folders, none hidden.

    Raises:
        DataError: there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of images")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise DataError(f"{folder} is empty; it should hold image files, in sub-folders or not")
    return found


def decoded(folder: Path, files: Sequence[Path], size: int | None) -> np.ndarray:
    """(N, 3, H, W) uint8 of the files: as they are, if they are of one size, or cut and resized to `size` squared.

    Raises:
        DataError: of several sizes, or damaged.
    """
    shape = (3, *((size, size) if size else one_size(files)))
    return np.stack(parallel(partial(_pixels, files, shape), len(files), f"reading {folder}"))


def _pixels(files: Sequence[Path], shape: tuple[int, int, int], row: int) -> np.ndarray:
    try:
        return read_image(files[row], shape, "resize").pixels
    except Unreadable as error:
        raise DataError(f"{files[row]}: {error}; take it out, a score is of all images or of none") from None


def one_size(files: Sequence[Path]) -> tuple[int, int]:
    """Height and width of all, by their headers.

    Raises:
        DataError: there are several, or a file is no image.
    """
    counts: dict[tuple[int, int], int] = {}
    for path in files:
        size = _size(path)
        counts[size] = counts.get(size, 0) + 1
    if len(counts) > 1:
        most = sorted(counts.items(), key=lambda item: -item[1])
        words = [f"{count} of {height}×{width}" for (height, width), count in most]
        raise DataError(f"images of {len(counts)} sizes: {shown(words)}; --size N cuts and resizes all to N pixels")
    (size,) = counts
    return size


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            on_its_side = image.getexif().get(ORIENTATION) in TURNED
            return (image.width, image.height) if on_its_side else (image.height, image.width)
    except Exception as error:  # the boundary: a damaged file can raise anything in a decoder
        raise DataError(f"{path} gives no image ({error}); take it out") from None


def shown(items: Sequence[Any]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(map(str, items[:NAMED])) + more
