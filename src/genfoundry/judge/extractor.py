"""What sees images for a score: a judge or a published network, by its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genfoundry.files import read_json, sha256, sha256_file, write_atomic
from genfoundry.metrics import MetricError, Seen
from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.progress import progress
from genfoundry.runtime.artifact import Artifact, ShippedGraph

ABOUT = "extractor.json"
CACHE = Path(".features")  # of what published networks saw, by content: seconds for each hundred images
PIECE = 4096  # images that a judge looks at together: as floats, they take four times the memory
CHUNK = 250  # images that are looked at, and kept, together
BATCH = 32  # large images at a time: what fits a cache is faster
HALF_A_LEVEL = 0.5 / 255.0  # of 8 bits


class Extractor:
    """A folder with one ONNX file that gives features, perhaps logits, and what must be said of them."""

    def __init__(self, folder: Path, cache: Path = CACHE) -> None:
        self._folder, self._cache = folder, cache

    @cached_property
    def _about(self) -> dict[str, Any]:
        return read_json(self._folder / ABOUT)

    @cached_property
    def _graph(self) -> ShippedGraph:
        (graph,) = Artifact.load(self._folder).graphs.values()
        return graph

    @cached_property
    def protocol(self) -> dict[str, str]:
        """What a score measured with it says of it: its name, the SHA-256 of its file, resizing if any."""
        return {**self._about["protocol"], "sha256": sha256_file(self._graph.path)}

    @property
    def knows_classes(self) -> bool:
        """Whether it gives logits."""
        return "logits" in self._graph.outputs

    @property
    def is_published(self) -> bool:
        """Whether it takes images of any size, and its time with them."""
        return self._about["resize"] is not None

    def look(self, images: np.ndarray, title: str = "") -> Seen:
        """What it sees in images (N, C, H, W) uint8; with a title, under a bar.

        Raises:
            MetricError: they are not bytes, which alone every image file can hold.
        """
        if images.dtype != np.uint8:
            raise MetricError(f"scores are of images in bytes, not in {images.dtype}")
        if not self.is_published:
            parts = [self._graph(image=from_bytes(images[i : i + PIECE])) for i in range(0, len(images), PIECE)]
            return Seen(*(np.concatenate([part[what] for part in parts]) for what in ("features", "logits")))
        chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
        return Seen(np.concatenate([self._kept(chunk) for chunk in _counted(chunks, title)]))

    def _kept(self, images: np.ndarray) -> np.ndarray:
        """(N, D) features, kept by content: images that were seen before cost nothing, in a killed process too."""
        words = f"{self.protocol}{images.shape}".encode()
        key = sha256(words + np.ascontiguousarray(images).tobytes())
        path = self._cache / f"{key}.f32"
        if path.exists():
            return np.fromfile(path, np.float32).reshape(len(images), -1)
        features = self.features(images)
        write_atomic(path, features.tobytes())
        return features

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, D) of images (N, C, H, W) uint8 by a published network, whatever was kept."""
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([self._graph(image=squares(batch, **self._about["resize"])) for batch in batches])


def _counted(chunks: Sequence[np.ndarray], title: str) -> Iterator[np.ndarray]:
    """Under a bar of images, where there is a title and more than one chunk to wait for."""
    if not title or len(chunks) == 1:
        yield from chunks
        return
    with progress(chunks[:0], title, total=sum(map(len, chunks)), unit="images") as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))


def squares(images: np.ndarray, size: int, filter: str) -> np.ndarray:
    """(N, 1 or 3, H, W) uint8 → (N, 3, size, size) float32 in [0, 1], or a little out of it by a bicubic filter."""
    rows, columns = (resampling(side, size, filter) for side in images.shape[2:])
    found = rows @ from_bytes(images) @ columns.T
    return np.repeat(found, 3 // found.shape[1], axis=1)


@lru_cache(maxsize=16)
def resampling(side: int, size: int, filter: str) -> np.ndarray:
    """(size, side): Pillow's antialiased filter, which scores need (Parmar et al. 2022), and torch's.

    Resizing is linear in each axis, and a product of matrices is the same on every machine.
    """
    identity = Image.fromarray(np.eye(side, dtype=np.float32))
    return np.asarray(identity.resize((side, size), Image.Resampling[filter.upper()]))


def as_bytes(images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) in [0, 1] → uint8, which alone are scored. What leaves the range is not clipped into it.

    Raises:
        MetricError: NaN, infinity, or a value that is out of the range by more than rounding.
    """
    if not np.isfinite(images).all():
        raise MetricError("the images hold NaN or infinity; there is nothing to score")
    low, high = float(images.min()), float(images.max())
    if low < -HALF_A_LEVEL or high > 1.0 + HALF_A_LEVEL:
        raise MetricError(f"images are in [0, 1]; these reach from {low:.4g} to {high:.4g}")
    return to_bytes(images)
