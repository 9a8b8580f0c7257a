"""A trained judge at work: what it sees in samples, beside what it saw in the real images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from genfoundry.files import sha256_file
from genfoundry.metrics import Sampled
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact, ShippedGraph

FILE = "classify.onnx"
REFERENCE = "reference.npz"


class Reference:
    """The folder that the judge stage wrote."""

    def __init__(self, folder: Path, classes: int) -> None:
        self._folder, self._classes = folder, classes

    @cached_property
    def _real(self) -> dict[str, np.ndarray]:
        with np.load(self._folder / REFERENCE) as arrays:
            return dict(arrays)

    @cached_property
    def _classify(self) -> ShippedGraph:
        return Artifact.load(self._folder / FILE).graph("classify")

    @cached_property
    def sha256(self) -> str:
        """Of the judge's file."""
        return sha256_file(self._folder / FILE)

    @property
    def test_features(self) -> np.ndarray:
        """(M, D) of the held-out real images."""
        return self._real["test_features"]

    def see(self, images: np.ndarray) -> Sampled:
        """Evidence on samples (N, C, H, W) uint8."""
        answer = self._classify(image=from_bytes(images))
        return self._against_test(answer["features"], answer["logits"].argmax(axis=1))

    def floor(self, count: int) -> Sampled:
        """Evidence on as many real training images, or all there are: what a perfect generator would score."""
        return self._against_test(self._real["train_features"][:count], self._real["train_labels"][:count])

    def _against_test(self, features: np.ndarray, labels: np.ndarray) -> Sampled:
        return Sampled(features, labels, self.test_features, self._real["test_labels"], self._classes)
