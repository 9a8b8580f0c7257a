"""All files of a raw tree, decoded on all cores into one array; those that give no image are put aside by name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from genfoundry.data import DataError
from genfoundry.data.images import Unreadable, read_image
from genfoundry.data.trees import Leaf
from genfoundry.params import Dataset
from genfoundry.progress import progress

WINDOW = 1024  # files that wait for a core at once
NAMED = 50  # quarantined files that the terminal shows; dataset.json has all

T = TypeVar("T")


@dataclass(frozen=True)
class Decoded:
    """Row by row: files, pixels (N, C, H, W) uint8, and keys that are equal for equal images, None for no image."""

    files: Sequence[Leaf]
    pixels: np.ndarray
    keys: Sequence[bytes | None]
    quarantined: Mapping[str, str]  # file → reason
    enlarged: int  # images smaller than the shape

    def good(self) -> Iterator[tuple[int, Leaf, bytes]]:
        """Row, file and key of each image."""
        rows = enumerate(zip(self.files, self.keys, strict=True))
        return ((row, file, key) for row, (file, key) in rows if key)


def decode(name: str, raw: Path, files: Sequence[Leaf], dataset: Dataset, scratch: Path) -> Decoded:
    """Read `files`, which lie below `raw`; the pixels are on disk in `scratch`, unnamed.

    Raises:
        DataError: not one of them is an image.
    """
    room = scratch / "pixels"
    pixels = np.lib.format.open_memmap(room, "w+", np.uint8, (len(files), *dataset.shape))
    room.unlink()  # the mapping lives on, and the folder stays clean

    def read(row: int) -> tuple[bytes | None, str, bool]:
        try:
            picture = read_image(raw / str(files[row]), dataset.shape, dataset.fit or "resize")
        except Unreadable as error:
            return None, str(error), False
        pixels[row] = picture.pixels
        return picture.key, "", picture.enlarged

    keys, reasons, enlarged = zip(*parallel(read, len(files), f"{name}: decoding"), strict=True)
    quarantined = {str(file): reason for file, reason in zip(files, reasons, strict=True) if reason}
    if len(quarantined) == len(files):
        raise DataError(f"{name}: none of {len(files)} files is an image; {files[0]}: {reasons[0]}")
    return Decoded(files, pixels, keys, quarantined, sum(enlarged))


def parallel(work: Callable[[int], T], count: int, title: str) -> list[T]:
    """`work` of 0 … count - 1, in order, on all cores, under a bar; an interruption ends it at once."""
    Image.init()  # imports Pillow's formats, in one thread
    with warnings.catch_warnings(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the reader has its own limit
        windows = (range(start, min(start + WINDOW, count)) for start in range(0, count, WINDOW))
        results = chain.from_iterable(pool.map(work, window) for window in windows)
        try:
            return list(progress(results, title, total=count, unit="image"))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def tell(name: str, quarantined: Mapping[str, str]) -> None:
    """What was put aside, on the terminal."""
    if quarantined:
        print(f"{name}: {len(quarantined)} files give no image and are left out:", flush=True)
    for file, reason in list(quarantined.items())[:NAMED]:
        print(f"  {file}: {reason}", flush=True)
    if len(quarantined) > NAMED:
        print(f"  … and {len(quarantined) - NAMED} more, which dataset.json lists", flush=True)
