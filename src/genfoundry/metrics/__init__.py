"""Scores of exported files. One file a metric, each a function of evidence; the tasks gather the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfoundry.params import Evaluation


@dataclass(frozen=True)
class Paired:
    """Images and what they should be: (N, C, H, W) float32 in [0, 1] twice."""

    target: np.ndarray
    output: np.ndarray


@dataclass(frozen=True)
class Sampled:
    """What the judge sees in a set of samples, and in the held-out real images."""

    features: np.ndarray  # (N, D) float32
    labels: np.ndarray  # (N,) the judge's classes
    real_features: np.ndarray  # (M, D) float32
    real_labels: np.ndarray  # (M,)
    classes: int


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
