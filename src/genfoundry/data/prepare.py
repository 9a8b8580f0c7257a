"""Raw data → the uint8 arrays that training and evaluation map into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genfoundry.data import DataError
from genfoundry.data.batches import file_of
from genfoundry.data.collect import Arrays, from_tree
from genfoundry.data.images import RESIZE, fitted, with_channels
from genfoundry.data.splits import TEST, TRAIN
from genfoundry.data.trees import is_tree
from genfoundry.files import folder_atomic, write_json
from genfoundry.params import Dataset
from genfoundry.progress import progress

SPLITS = (TRAIN, TEST)
CHOICE_SEED = 0  # of the data, whatever the runs' seed


def prepare(name: str, dataset: Dataset, raw: Path, target: Path) -> None:
    """Write an array for each split and batch key, and `dataset.json`.

    A training image that stands in the test split too is left out of training and counted. A file that gives no
    image is quarantined: listed with its reason.

    Raises:
        DataError: the data differ from the entry in params.yaml.
    """
    with folder_atomic(target) as folder:
        if is_tree(raw):
            arrays, findings = from_tree(name, dataset, raw, scratch=folder)
        else:
            arrays, findings = from_arrays(name, dataset, raw)
        for split, by_key in arrays.items():
            for key, array in by_key.items():
                np.save(folder / file_of(split, key), array)
        about = describe(name, dataset, arrays, findings)
        write_json(folder / "dataset.json", about)
    labels = f"{len(dataset.classes)} classes" if dataset.classes else "no labels"
    print(f"{name}: images of {dataset.shape}, {about['counts']}, {labels}", flush=True)


def from_arrays(name: str, dataset: Dataset, raw: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays of images and labels that have a split already."""
    images = {split: to_nchw(name, np.load(raw / f"{split}_images.npy"), dataset) for split in SPLITS}
    labels = {split: np.load(raw / f"{split}_labels.npy").astype(np.int64) for split in SPLITS}
    for split in SPLITS:
        _check_labels(name, split, images[split], labels[split], len(dataset.classes))
    leaks = np.isin(row_keys(images[TRAIN]), row_keys(images[TEST]))
    images[TRAIN], labels[TRAIN] = images[TRAIN][~leaks], labels[TRAIN][~leaks]
    rows = {split: some(len(images[split]), dataset.limit) for split in SPLITS}
    arrays = {split: {"image": images[split][rows[split]], "label": labels[split][rows[split]]} for split in SPLITS}
    findings: dict[str, Any] = {"left_out_of_training": {"also_in_test": int(leaks.sum())}}
    return arrays, findings | ({"resize": RESIZE} if dataset.fit == "resize" else {})


def some(count: int, limit: int | None) -> slice | np.ndarray:
    """Which rows of `count` to keep: all, or `limit` at random in their order, as a file may be sorted by class."""
    if limit is None or limit >= count:
        return slice(None)
    return np.sort(np.random.default_rng(CHOICE_SEED).permutation(count)[:limit])


def to_nchw(name: str, images: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(N, H, W) or (N, H, W, C) uint8 → contiguous (N, C, H, W), resized where `dataset.fit` says so.

    Raises:
        DataError: not `dataset.shape`, or not bytes.
    """
    nchw = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    if nchw.dtype == np.uint8 and dataset.fit == "resize" and nchw.shape[1:] != dataset.shape:
        rows = progress(images, f"{name}: resizing", total=len(images), unit="image")
        pictures = (with_channels(Image.fromarray(flat(row)), dataset.shape[0]) for row in rows)
        return np.stack([fitted(picture, dataset.shape) for picture in pictures])
    if nchw.dtype != np.uint8 or nchw.shape[1:] != dataset.shape:
        raise DataError(
            f"datasets.{name}.shape: params.yaml says {dataset.shape}, the data is {nchw.shape[1:]} {nchw.dtype}"
        )
    return np.ascontiguousarray(nchw)


def flat(image: np.ndarray) -> np.ndarray:
    """(H, W, 1) → (H, W), as Pillow wants grey; others as they are."""
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def row_keys(images: np.ndarray) -> np.ndarray:
    """One 16-byte key for each image, equal for equal images."""
    keys = [hashlib.blake2b(image.data, digest_size=16).digest() for image in images]
    return np.array(keys, dtype="S16")


def _check_labels(name: str, split: str, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    if len(labels) != len(images):
        raise DataError(f"{name}: {len(images)} {split} images but {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"datasets.{name}.classes: {classes} names, but labels up to {labels.max()}")


def describe(name: str, dataset: Dataset, arrays: Arrays, findings: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset.json says; `fingerprint` is the SHA-256 of what a model can learn from."""
    about = {
        "name": name,
        "layout": dataset.layout,
        "shape": dataset.shape,
        "classes": dataset.classes,
        "licence": dataset.licence,
        "counts": {split: counts(dataset, by_key) for split, by_key in arrays.items()},
        "class_counts": {
            split: np.bincount(by_key["label"], minlength=len(dataset.classes)).tolist()
            for split, by_key in arrays.items()
            if dataset.classes
        },
        **findings,
        "fingerprint": fingerprint(dataset, arrays),
    }
    usual: dict[str, Any] = {"layout": "classes", "class_counts": {}}  # goes without saying
    return {key: value for key, value in about.items() if key not in usual or value != usual[key]}


def counts(dataset: Dataset, by_key: Mapping[str, np.ndarray]) -> int | dict[str, int]:
    """Images of a split; by domain where each has its own number."""
    if dataset.layout == "domains":
        return {key: len(array) for key, array in by_key.items()}
    return len(next(iter(by_key.values())))


def fingerprint(dataset: Dataset, arrays: Arrays) -> str:
    """SHA-256 over layout, classes, shapes and values."""
    parts = dataset.classes if dataset.layout == "classes" else (dataset.layout,)
    digest = hashlib.sha256("\0".join(parts).encode())
    for by_key in arrays.values():
        for key, array in by_key.items():
            if key != "label":
                digest.update(repr(array.shape).encode())
            digest.update(array.data)
    return digest.hexdigest()
