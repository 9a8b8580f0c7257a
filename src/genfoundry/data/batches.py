"""A prepared data set, mapped into memory, and batches whose order is a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.data import DataError
from genfoundry.files import read_json
from genfoundry.spec import DataSpec

IMAGES = "images"  # the array of a split whose images are not in pairs or domains


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) uint8 and labels (N,) int64, on disk until they are read."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Prepared:
    """The folder that `prepare` wrote."""

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """The content of dataset.json."""
        return read_json(self.folder / "dataset.json")

    @property
    def spec(self) -> DataSpec:
        """What a model may know of it."""
        channels, height, width = self.about["shape"]
        return DataSpec((channels, height, width), tuple(self.about["classes"]))

    def image_sets(self, split: str) -> dict[str, np.ndarray]:
        """All arrays of images (N, C, H, W) uint8 of a split, by name; `images` alone where it has classes."""
        files = sorted(self.folder.glob(f"{split}_*.npy"))
        arrays = {path.stem.removeprefix(f"{split}_"): np.load(path, mmap_mode="r") for path in files}
        return {name: array for name, array in arrays.items() if array.ndim == 4}

    def split(self, name: str) -> Split:
        """`train` or `test`."""
        images, labels = (np.load(self.folder / f"{name}_{part}.npy", mmap_mode="r") for part in (IMAGES, "labels"))
        return Split(images, labels)


class Batches:
    """Shuffled batches without end; an epoch's remainder smaller than a batch is left for the next shuffle.

    Raises:
        DataError: fewer images than one batch.
    """

    def __init__(self, split: Split, batch_size: int, seed: int) -> None:
        if len(split) < batch_size:
            raise DataError(f"batch_size {batch_size} is more than the {len(split)} images there are")
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.per_epoch = len(split) // batch_size
        self._order = lru_cache(maxsize=1)(self._shuffle)

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch of `step`, counted from 0: image (N, C, H, W) uint8, label (N,) int64. One gather, no loop."""
        epoch, position = divmod(step, self.per_epoch)
        rows = self._order(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        return {"image": self.split.images[rows], "label": self.split.labels[rows]}

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.split))
