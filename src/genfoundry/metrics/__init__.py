"""Scores of exported files. One file a metric; each is a function of evidence and names the graph it judges.

A new metric is a file with a `METRIC` and its place in `METRICS` of `metrics/stage.py`.
"""

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
class Metric:
    """A score: which graph it judges, which way is better, and how it follows from the evidence."""

    name: str
    graph: Literal["generate", "reconstruct"]
    better: Literal["lower", "higher"]
    compute: Callable[[Any, Evaluation], float]
    definition: str
    leads: bool = False  # ranks the runs of a board
    leads_if_few: bool = False  # ranks them instead where there are too few images for a covariance of the features
    needs_labels: bool = False
    distance: str = ""  # begins its name where a published network gives the features: fd_effnet is not fid_judge

    def fits(self, evidence: Any) -> bool:
        """Whether it can be computed."""
        return not (self.needs_labels and evidence.labels is None)

    def ranks(self, evidence: Any) -> bool:
        """Whether it leads on this evidence."""
        few = isinstance(evidence, Sampled) and evidence.few
        return self.leads_if_few if few else self.leads

    def called(self, evidence: Any) -> str:
        """Its name, which says whose features it was measured on."""
        extractor = getattr(evidence, "extractor", JUDGE)
        return self.name if extractor == JUDGE else f"{self.distance}_{extractor}"
