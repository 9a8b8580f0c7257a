"""A judge at work: what it sees in samples, beside what it saw in the real images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from genfoundry.files import read_json, sha256_file
from genfoundry.metrics import Sampled
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact, ShippedGraph

ABOUT = "judge.json"
REFERENCE = "reference.npz"

Seen = tuple[np.ndarray, np.ndarray | None]  # features (N, D) and, where the judge knows classes, labels (N,)


def key(split: str, images: str, what: str) -> str:
    """The name in `reference.npz` of the features or labels of a split's array of images."""
    return f"{split}_{images}_{what}"


def look(graph: ShippedGraph, images: np.ndarray) -> Seen:
    """What a judge's file sees in images (N, C, H, W) uint8."""
    answer = graph(image=from_bytes(images))
    if isinstance(answer, dict):
        return answer["features"], answer["logits"].argmax(axis=1)
    return answer, None


class Reference:
    """The folder that the judge stage wrote. `images` is the key in a batch of those that are compared with."""

    def __init__(self, folder: Path, classes: int) -> None:
        self._folder, self._classes = folder, classes

    @cached_property
    def _real(self) -> dict[str, np.ndarray]:
        with np.load(self._folder / REFERENCE) as arrays:
            return dict(arrays)

    @cached_property
    def _graph(self) -> ShippedGraph:
        (graph,) = Artifact.load(self._folder).graphs.values()
        return graph

    @cached_property
    def protocol(self) -> dict[str, str]:
        """What a score measured with this judge says of it: extractor, SHA-256 of its file, resizing if any."""
        return {**read_json(self._folder / ABOUT)["protocol"], "sha256": sha256_file(self._graph.path)}

    @property
    def knows_classes(self) -> bool:
        """Whether evidence has labels."""
        return "logits" in self._graph.outputs

    @property
    def test_features(self) -> np.ndarray:
        """(M, D) of the held-out real images."""
        return self.features("test")

    def features(self, split: str, images: str = "image") -> np.ndarray:
        """(M, D) of real images."""
        return self._real[key(split, images, "features")]

    def see(self, samples: np.ndarray, images: str = "image") -> Sampled:
        """Evidence on samples (N, C, H, W) uint8."""
        return self._against_test(look(self._graph, samples), images)

    def classify(self, samples: np.ndarray) -> np.ndarray:
        """(N,) classes of samples (N, C, H, W) uint8.

        Raises:
            ValueError: the judge knows no classes.
        """
        _, labels = look(self._graph, samples)
        if labels is None:
            raise ValueError(f"{self.protocol['extractor']} knows no classes")
        return labels

    def floor(self, count: int, images: str = "image") -> Sampled:
        """Evidence on as many real training images, or all there are: what a perfect generator would score."""
        features, labels = self.features("train", images), self._labels("train", images)
        return self._against_test((features[:count], None if labels is None else labels[:count]), images)

    def _against_test(self, seen: Seen, images: str) -> Sampled:
        real = self.features("test", images), self._labels("test", images)
        return Sampled(*seen, *real, self._classes, self.protocol["extractor"])

    def _labels(self, split: str, images: str) -> np.ndarray | None:
        return self._real.get(key(split, images, "labels"))
