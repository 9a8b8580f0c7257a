"""What an extractor saw in a data set's images, and samples beside it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.data.batches import Prepared
from genfoundry.files import folder_atomic
from genfoundry.judge.extractor import Extractor
from genfoundry.metrics import Sampled, Seen
from genfoundry.params import load_dataset
from genfoundry.spec import IMAGE_KEYS

JUDGES, PUBLISHED, REFERENCES = Path("judges"), Path("extractors"), Path("references")
FLOOR_SEED = 0  # of the protocol: which training images take the samples' place
OWN = "judge"  # the file of what the data set's own judge saw


def measure_dataset(name: str) -> None:
    """What the data set's judge, and each of `evaluation.extractors`, sees in its images: once for all runs."""
    params, _ = load_dataset(name)
    prepared = Prepared(Path("data/prepared") / name)
    folders = {OWN: JUDGES / name} | {entry: PUBLISHED / entry for entry in params.evaluation.extractors}
    with folder_atomic(REFERENCES / name) as target:
        for entry, folder in folders.items():
            samples = params.evaluation.samples if entry == OWN else params.evaluation.extracted
            found: Any = measured(Extractor(folder), prepared, samples, params.seed)
            np.savez(target / f"{entry}.npz", **found)
            print(f"{name}: seen by {entry}", flush=True)


def measured(extractor: Extractor, prepared: Prepared, samples: int, seed: int) -> dict[str, np.ndarray]:
    """Features and logits of both splits, by `key`.

    Of training images as many as samples or translations stand beside, at random; by a judge, which is fast, all
    that stand alone: a generator may have copied any of them.
    """
    found: dict[str, np.ndarray] = {}
    alone = prepared.layout == "classes"
    most = max(len(prepared.split("test").arrays[images]) for images in IMAGE_KEYS[prepared.layout])
    wanted = None if alone and not extractor.is_published else max(most, samples) if alone else most
    for images in IMAGE_KEYS[prepared.layout]:
        test, train = (prepared.split(name).arrays[images] for name in ("test", "train"))
        rows = np.random.default_rng(seed).permutation(len(train))[:wanted]
        for split, real in (("test", test), ("train", train[np.sort(rows)])):
            seen = extractor.look(np.asarray(real), f"{split} {images}")
            found[key(split, images, "features")] = seen.features
            if seen.logits is not None:
                found[key(split, images, "logits")] = seen.logits
    return found


def key(split: str, images: str, what: str) -> str:
    """The name of the features or logits of a split's array of images."""
    return f"{split}_{images}_{what}"


class Reference:
    """An extractor and what it saw in a data set. `images` is the key in a batch of what is compared with."""

    def __init__(self, extractor: Extractor, file: Path) -> None:
        self._extractor, self._file = extractor, file
        self._seen: dict[tuple[str, str], Seen] = {}

    @cached_property
    def _real(self) -> dict[str, np.ndarray]:
        with np.load(self._file) as arrays:
            return dict(arrays)

    @property
    def protocol(self) -> dict[str, str]:
        """What a score says of its extractor."""
        return self._extractor.protocol

    @property
    def knows_classes(self) -> bool:
        """Whether evidence has logits."""
        return self._extractor.knows_classes

    def real(self, split: str, images: str = "image") -> Seen:
        """What it saw in the real images."""
        if (split, images) not in self._seen:
            features = self._real[key(split, images, "features")]
            self._seen[split, images] = Seen(features, self._real.get(key(split, images, "logits")))
        return self._seen[split, images]

    def see(self, samples: np.ndarray, images: str = "image") -> Sampled:
        """Evidence on samples (N, C, H, W) uint8."""
        seen = self._extractor.look(samples, "samples")
        return Sampled(seen, self.real("test", images), self.real("train", images), self.protocol["extractor"])

    def classify(self, samples: np.ndarray) -> np.ndarray:
        """(N,) classes of samples (N, C, H, W) uint8.

        Raises:
            MetricError: the extractor knows no classes.
        """
        return self._extractor.look(samples).labels

    def floor(self, count: int, images: str = "image") -> Sampled:
        """Evidence on as many real training images, or all there are: what a perfect generator would score."""
        train = self.real("train", images)
        rows = np.sort(np.random.default_rng(FLOOR_SEED).permutation(len(train))[:count])
        return Sampled(train.take(rows), self.real("test", images), extractor=self.protocol["extractor"])


def references(dataset: str, extractors: tuple[str, ...] = ()) -> tuple[Reference, ...]:
    """The judge's first, then those of published networks."""
    own = Reference(Extractor(JUDGES / dataset), REFERENCES / dataset / f"{OWN}.npz")
    others = [Reference(Extractor(PUBLISHED / name), REFERENCES / dataset / f"{name}.npz") for name in extractors]
    return own, *others
