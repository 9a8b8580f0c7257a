"""Scores of exported files. One file a metric; each is a function of evidence and names the graph it judges.

A new metric is a file with a `METRIC` and its place in `METRICS` of `metrics/stage.py`.
"""

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
class Metric:
    """A score: which graph it judges, which way is better, and how it follows from the evidence."""

    name: str
    graph: Literal["generate", "reconstruct"]
    better: Literal["lower", "higher"]
    compute: Callable[[Any, Evaluation], float]
    definition: str
    leads: bool = False  # ranks the runs of a board
