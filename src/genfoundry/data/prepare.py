"""Raw arrays → the uint8 arrays that training and evaluation map into memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from genfoundry.data import DataError
from genfoundry.files import folder_atomic, write_json
from genfoundry.params import Dataset

SPLITS = ("train", "test")


def prepare(name: str, dataset: Dataset, raw: Path, target: Path) -> None:
    """Write `<split>_images.npy` (N, C, H, W) uint8, `<split>_labels.npy` (N,) int64 and `dataset.json`.

    A training image that stands in the test split too is left out of training and counted.

    Raises:
        DataError: shape or labels differ from the entry in params.yaml.
    """
    images = {split: to_nchw(name, np.load(raw / f"{split}_images.npy"), dataset) for split in SPLITS}
    labels = {split: np.load(raw / f"{split}_labels.npy").astype(np.int64) for split in SPLITS}
    for split in SPLITS:
        _check_labels(name, split, images[split], labels[split], len(dataset.classes))
    kept = ~np.isin(row_keys(images["train"]), row_keys(images["test"]))
    images["train"], labels["train"] = images["train"][kept], labels["train"][kept]
    for split in SPLITS:
        images[split], labels[split] = images[split][: dataset.limit], labels[split][: dataset.limit]
    with folder_atomic(target) as folder:
        for split in SPLITS:
            np.save(folder / f"{split}_images.npy", images[split])
            np.save(folder / f"{split}_labels.npy", labels[split])
        write_json(folder / "dataset.json", _describe(name, dataset, images, labels, int((~kept).sum())))


def to_nchw(name: str, images: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(N, H, W) or (N, H, W, C) uint8 → contiguous (N, C, H, W).

    Raises:
        DataError: not `dataset.shape`, or not bytes.
    """
    nchw = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    if nchw.dtype != np.uint8 or nchw.shape[1:] != dataset.shape:
        raise DataError(
            f"datasets.{name}.shape: params.yaml says {dataset.shape}, the data is {nchw.shape[1:]} {nchw.dtype}"
        )
    return np.ascontiguousarray(nchw)


def row_keys(images: np.ndarray) -> np.ndarray:
    """One 16-byte key for each image, equal for equal images."""
    keys = [hashlib.blake2b(image.data, digest_size=16).digest() for image in images]
    return np.array(keys, dtype="S16")


def _check_labels(name: str, split: str, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    if len(labels) != len(images):
        raise DataError(f"{name}: {len(images)} {split} images but {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"datasets.{name}.classes: {classes} names, but labels up to {labels.max()}")


def _describe(
    name: str, dataset: Dataset, images: dict[str, np.ndarray], labels: dict[str, np.ndarray], leaks: int
) -> dict[str, object]:
    digest = hashlib.sha256("\0".join(dataset.classes).encode())
    for split in SPLITS:
        digest.update(repr(images[split].shape).encode())
        digest.update(images[split].data)
        digest.update(labels[split].data)
    return {
        "name": name,
        "shape": dataset.shape,
        "classes": dataset.classes,
        "licence": dataset.licence,
        "counts": {split: len(images[split]) for split in SPLITS},
        "class_counts": {
            split: np.bincount(labels[split], minlength=len(dataset.classes)).tolist() for split in SPLITS
        },
        "left_out_of_training": {"also_in_test": leaks},
        "fingerprint": digest.hexdigest(),
    }
