"""Scores of exported files. One file a metric, each a function of evidence; the tasks gather the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfoundry.params import Evaluation

JUDGE = "judge"  # the extractor that was trained on the data set itself


@dataclass(frozen=True)
class Paired:
    """Images and what they should be: (N, C, H, W) float32 in [0, 1] twice."""

    target: np.ndarray
    output: np.ndarray
    distances: np.ndarray | None = None  # (N,) as a published network sees them, where the run names one


@dataclass(frozen=True)
class Sampled:
    """What the judge sees in a set of samples, and in the held-out real images."""

    features: np.ndarray  # (N, D) float32
    labels: np.ndarray | None  # (N,) the judge's classes, if it knows any
    real_features: np.ndarray  # (M, D) float32
    real_labels: np.ndarray | None  # (M,)
    classes: int
    extractor: str = JUDGE

    @property
    def few(self) -> bool:
        """Whether a covariance of the features would be singular."""
        return min(len(self.features), len(self.real_features)) <= self.features.shape[1]

    def class_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """(classes,) twice: the share of each class that the judge sees in the samples, and in the real images.

        Raises:
            ValueError: the judge knows no classes.
        """
        if self.labels is None or self.real_labels is None:
            raise ValueError(f"{self.extractor} knows no classes")
        samples, real = (
            np.bincount(labels, minlength=self.classes) / len(labels) for labels in (self.labels, self.real_labels)
        )
        return samples, real


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities of held-out images: of 8-bit values, or of bits where the data is binary."""

    nats: np.ndarray  # (N,)
    dims: int


@dataclass(frozen=True)
class Classified:
    """What something was to be, and what it is taken for."""

    asked: np.ndarray  # (N,) classes
    found: np.ndarray  # (N,)


@dataclass(frozen=True)
class Trials:
    """Accuracies of one classifier, trained once for each seed: as it is, and on real images alone."""

    accuracies: np.ndarray  # (seeds,)
    without: np.ndarray  # (seeds,)


@dataclass(frozen=True)
class Detected:
    """How anomalous images look, and whether they are."""

    scores: np.ndarray  # (N,) higher is more anomalous
    anomalous: np.ndarray  # (N,) bool


@dataclass(frozen=True)
class Metric:
    """A score: which way is better, and how it follows from the evidence."""

    name: str
    better: Literal["lower", "higher"]
    compute: Callable[[Any, Evaluation], float]
    definition: str
    needs_labels: bool = False  # the judge's
    needs_distances: bool = False  # between images, as a published network sees them
    needs_many: bool = False  # images: with too few for a covariance of the features, it leads no board
    stderr: Callable[[Any], float] | None = None  # of the value, where it is a mean over trials
    distance: str = ""  # begins its name where a published network gives the features: fd_effnet is not fid_judge

    def fits(self, evidence: Any) -> bool:
        """Whether it can be computed."""
        lacks_labels = self.needs_labels and evidence.labels is None
        return not (lacks_labels or (self.needs_distances and evidence.distances is None))

    def leads(self, evidence: Any) -> bool:
        """Whether it is sound enough to rank the runs of a board."""
        return not (self.needs_many and evidence.few)

    def called(self, evidence: Any) -> str:
        """Its name, which says whose features it was measured on."""
        extractor = getattr(evidence, "extractor", JUDGE)
        return self.name if extractor == JUDGE else f"{self.distance}_{extractor}"
