"""Arrays of images → grids and PNG bytes. Imports numpy and Pillow alone."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

GAP = 2  # pixels between the cells of a grid


def to_bytes(images: np.ndarray) -> np.ndarray:
    """float [0, 1] → uint8, rounded to nearest and clamped, any shape."""
    return np.clip(np.rint(np.asarray(images, dtype=np.float64) * 255.0), 0, 255).astype(np.uint8)


def from_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 → float32 in [0, 1], any shape."""
    return np.asarray(images, dtype=np.float32) / np.float32(255.0)


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """(N, C, H, W) uint8 → one (height, width, C) picture on white, as square as N allows."""
    count, depth, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.full((rows * columns, depth, height + GAP, width + GAP), 255, np.uint8)
    canvas[:count, :, :height, :width] = images
    tiles = canvas.reshape(rows, columns, depth, height + GAP, width + GAP)
    picture = tiles.transpose(0, 3, 1, 4, 2).reshape(rows * (height + GAP), columns * (width + GAP), depth)
    return picture[:-GAP, :-GAP]


def beside(*images: np.ndarray) -> np.ndarray:
    """K arrays (N, C, H, W), uint8 or in [0, 1] → (K·N, C, H, W) uint8: what belongs together stands together."""
    same = [array if array.dtype == np.uint8 else to_bytes(array) for array in images]
    return np.stack(same, axis=1).reshape(-1, *same[0].shape[1:])


def enlarged(images: np.ndarray, height: int) -> np.ndarray:
    """(N, C, H, W) at a whole multiple of its size, by repeating pixels; the same where it has that height."""
    factor = height // images.shape[2]
    return images.repeat(factor, axis=2).repeat(factor, axis=3)


def png(picture: np.ndarray) -> bytes:
    """(height, width, 1 or 3) uint8 → PNG bytes."""
    stream = io.BytesIO()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(stream, "PNG", optimize=True)
    return stream.getvalue()
