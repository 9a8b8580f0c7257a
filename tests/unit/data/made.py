"""Files that sources hold, made as small as they come."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
LABELS = np.arange(5, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, images: np.ndarray = IMAGES) -> None:
    for split in ("train", "t10k"):
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))


def picture(seed: int, size: tuple[int, int] = (12, 12)) -> Image.Image:
    """Noise that no other seed gives."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3)).astype(np.uint8))


def write_pictures(folder: Path, names: Iterable[str], start: int = 0) -> None:
    """A picture of its own under each name."""
    for seed, name in enumerate(names, start):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / name)
