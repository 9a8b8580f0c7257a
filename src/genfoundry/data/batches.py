"""A prepared data set, mapped into memory, and batches whose order is a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.data import DataError
from genfoundry.files import read_json
from genfoundry.spec import IMAGE_KEYS, DataSpec


def file_of(split: str, key: str) -> str:
    """The name of the file that holds a batch key's array of one split."""
    return f"{split}_{key}{'s' if key in ('image', 'label') else ''}.npy"


@dataclass(frozen=True)
class Split:
    """Arrays by batch key, on disk until they are read: images (N, C, H, W) uint8, labels (N,) int64.

    `aligned`: row n of each array belongs to row n of the others. Where not, each has a length of its own.
    """

    arrays: Mapping[str, np.ndarray]
    aligned: bool = True

    def __len__(self) -> int:
        """Rows of the shortest array."""
        return min(len(array) for array in self.arrays.values())

    @property
    def images(self) -> np.ndarray:
        """In the layout `classes`."""
        return self._of("image")

    @property
    def labels(self) -> np.ndarray:
        """In the layout `classes`, of data that have some."""
        return self._of("label")

    def take(self, rows: np.ndarray) -> Split:
        """These rows alone, by number or by a mask (N,), of arrays that are aligned."""
        return Split({key: array[rows] for key, array in self.arrays.items()})

    def _of(self, key: str) -> np.ndarray:
        if key not in self.arrays:
            raise DataError(f"these data have no {key}, but {' and '.join(self.arrays)}")
        return self.arrays[key]


@dataclass(frozen=True)
class Prepared:
    """The folder that `prepare` wrote."""

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """The content of dataset.json."""
        return read_json(self.folder / "dataset.json")

    @property
    def layout(self) -> str:
        """A key of `IMAGE_KEYS`."""
        return self.about.get("layout", "classes")

    @property
    def spec(self) -> DataSpec:
        """What a model may know of it."""
        channels, height, width = self.about["shape"]
        return DataSpec((channels, height, width), tuple(self.about["classes"]))

    def split(self, name: str) -> Split:
        """`train` or `test`."""
        keys = [*IMAGE_KEYS[self.layout], *(["label"] if self.about["classes"] else [])]
        arrays = {key: np.load(self.folder / file_of(name, key), mmap_mode="r") for key in keys}
        paired = self.layout != "domains" or (name == "test" and self.about.get("halves", False))
        return Split(arrays, aligned=paired)


class Batches:
    """Shuffled batches without end; an epoch's remainder smaller than a batch is left for the next shuffle.

    Arrays that are not aligned are shuffled each for itself, so the shorter ones begin their next epoch earlier.

    Raises:
        DataError: fewer images than one batch.
    """

    def __init__(self, split: Split, batch_size: int, seed: int) -> None:
        if len(split) < batch_size:
            raise DataError(f"batch_size {batch_size} is more than the {len(split)} images there are")
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self._streams = [tuple(split.arrays)] if split.aligned else [(key,) for key in split.arrays]
        self._order = lru_cache(maxsize=len(self._streams))(self._shuffle)

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch of `step`, counted from 0: images (N, C, H, W) uint8, label (N,) int64. One gather a key."""
        return {
            key: self.split.arrays[key][self._rows(stream, step)]
            for stream, keys in enumerate(self._streams)
            for key in keys
        }

    def _rows(self, stream: int, step: int) -> np.ndarray:
        epoch, position = divmod(step, self._length(stream) // self.batch_size)
        return self._order(stream, epoch)[position * self.batch_size : (position + 1) * self.batch_size]

    def _length(self, stream: int) -> int:
        return len(self.split.arrays[self._streams[stream][0]])

    def _shuffle(self, stream: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch, stream]).permutation(self._length(stream))
