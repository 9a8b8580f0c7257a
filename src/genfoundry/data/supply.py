"""A run's batches: those of its data set, seen the way that its entry in params.yaml says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from genfoundry.data import DataError
from genfoundry.data.batches import Batches, Split
from genfoundry.data.degradations import DEGRADATIONS
from genfoundry.params import Data, Dataset, Degradation
from genfoundry.pictures import from_bytes
from genfoundry.spec import IMAGE_KEYS, DataSpec

BINARIZE, DEGRADE, CHOOSE, FLIP, CROP = 1, 2, 3, 4, 5  # streams of randomness beside the batches' own


class Supply(Protocol):
    """Batches as a pure function of the step."""

    def at(self, step: int) -> Mapping[str, np.ndarray]: ...  # noqa: D102


def supply(split: Split, spec: DataSpec, data: Data, batch_size: int, seed: int) -> Supply:
    """The batches of one split, as a run sees them."""
    found: Supply = Batches(learnt_from(split, spec, data, seed), batch_size, seed)
    if data.labels and data.unlabelled:
        found = Labelled(found, Batches(with_labels(split, spec, data, seed), batch_size, seed + CHOOSE))
    if data.flip:
        found = Flipped(found, batch_size, seed)
    if data.patch:
        found = Cropped(found, data.patch, seed)
    if data.binarize:
        found = Binarized(found, seed)
    return Degraded(found, data.degradations, seed) if data.degradations else found


def read_by(data: Data, needs: frozenset[str]) -> Data:
    """`data` as losses that read the keys `needs` of a batch see it: what evaluation alone degrades is spared."""
    return data if needs & {"degraded", "mask"} else data.model_copy(update={"degradations": {}})


def seen(spec: DataSpec, data: Data) -> DataSpec:
    """What a model may know of a data set that a run sees its own way."""
    return replace(spec, levels=2 if data.binarize else spec.levels, scale=data.scale)


def offered(dataset: Dataset, data: Data) -> frozenset[str]:
    """The keys of the batches that `supply` gives, known before there is any data."""
    keys = {*IMAGE_KEYS[dataset.layout], *(["label"] if dataset.classes else [])}
    keys |= {"labelled"} if data.labels and data.unlabelled else set()
    keys |= {"degraded"} if data.degradations else set()
    return frozenset(keys | ({"mask"} if data.degradations and "scale" not in data.degradations else set()))


def learnt_from(split: Split, spec: DataSpec, data: Data, seed: int) -> Split:
    """The images that a run learns from, those without a label too."""
    return of_classes(split, spec, data.classes) if data.unlabelled else with_labels(split, spec, data, seed)


def with_labels(split: Split, spec: DataSpec, data: Data, seed: int) -> Split:
    """The images whose labels a run learns from."""
    found = of_classes(split, spec, data.classes)
    chosen = [spec.classes.index(name) for name in data.classes or spec.classes]
    return labelled(found, chosen, data.labels, seed) if data.labels else found


def of_classes(split: Split, spec: DataSpec, classes: tuple[str, ...] | None) -> Split:
    """The images of these classes, or all."""
    if classes is None:
        return split
    return split.take(np.isin(split.labels, [spec.classes.index(label) for label in classes]))


def labelled(split: Split, classes: Sequence[int], count: int, seed: int) -> Split:
    """`count` images with their labels, as many of each of `classes`, chosen by the seed.

    Raises:
        DataError: the count cannot be shared out, or a class has too few images.
    """
    share, rest = divmod(count, len(classes))
    order = np.random.default_rng([seed, CHOOSE]).permutation(len(split))
    rows = [order[split.labels[order] == label][:share] for label in classes]
    if rest or min(map(len, rows)) < share:
        raise DataError(f"data.labels: {count} images cannot be {len(classes)} equal shares of what there is")
    return split.take(np.sort(np.concatenate(rows)))


class Labelled:
    """Beside each batch, whose own labels are gone, another from the few images that keep theirs."""

    def __init__(self, everything: Supply, few: Supply) -> None:
        self._everything, self._few = everything, few

    def at(self, step: int) -> dict[str, np.ndarray]:
        """`image` without labels; `labelled` (N, C, H, W) with `label` (N,)."""
        few = self._few.at(step)
        return {"image": self._everything.at(step)["image"], "labelled": few["image"], "label": few["label"]}


class Flipped:
    """Half of a batch's rows mirrored left to right, in all of its images alike."""

    def __init__(self, batches: Supply, batch_size: int, seed: int) -> None:
        self._batches, self._batch_size, self._seed = batches, batch_size, seed

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch; labels (N,) stay as they are."""
        mirrored = np.random.default_rng([self._seed, step, FLIP]).random(self._batch_size) < 0.5
        return {
            key: np.where(mirrored[:, None, None, None], array[..., ::-1], array) if array.ndim == 4 else array
            for key, array in self._batches.at(step).items()
        }


class Cropped:
    """A square at a random place, the same in all images of a row."""

    def __init__(self, batches: Supply, side: int, seed: int) -> None:
        self._batches, self._side, self._seed = batches, side, seed

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch with images (N, C, side, side)."""
        batch, rng = self._batches.at(step), np.random.default_rng([self._seed, step, CROP])
        images = {key: array for key, array in batch.items() if array.ndim == 4}
        count, _, height, width = next(iter(images.values())).shape
        top, left = (rng.integers(0, size - self._side + 1, count) for size in (height, width))
        return {**batch, **{key: crop(array, top, left, self._side) for key, array in images.items()}}


def crop(images: np.ndarray, top: np.ndarray, left: np.ndarray, side: int) -> np.ndarray:
    """(N, C, H, W) → (N, C, side, side), each from its own corner; top and left are (N,)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(2, 3))
    return windows[np.arange(len(images)), :, top, left]


class Binarized:
    """Bernoulli pixels (Salakhutdinov & Murray 2008): 1 with the probability that is the grey value."""

    def __init__(self, batches: Supply, seed: int) -> None:
        self._batches, self._seed = batches, seed

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch with images in {0, 255}, labelled ones too."""
        rng = np.random.default_rng([self._seed, step, BINARIZE])
        return {
            key: binarize(array, rng) if array.ndim == 4 else array for key, array in self._batches.at(step).items()
        }


def binarize(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 of any values → uint8 0 or 255, each pixel drawn alone; black stays black and white stays white."""
    drawn = rng.random(images.shape, dtype=np.float32) * np.float32(255.0) < images
    return drawn.astype(np.uint8) * np.uint8(255)


class Degraded:
    """What a `restore` graph is given, beside what it should give; several degradations take turns."""

    def __init__(self, batches: Supply, degradations: Mapping[Degradation, float], seed: int) -> None:
        self._batches, self._turns, self._seed = batches, list(degradations.items()), seed

    def at(self, step: int) -> dict[str, np.ndarray]:
        """The batch with `degraded` and, where the size stays, `mask`, float32."""
        batch = self._batches.at(step)
        kind, amount = self._turns[step % len(self._turns)]
        rng = np.random.default_rng([self._seed, step, DEGRADE])
        return {**batch, **DEGRADATIONS[kind](from_bytes(batch["image"]), amount, rng)}
