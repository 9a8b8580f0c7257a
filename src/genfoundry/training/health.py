"""Whether a generator still gives samples as diverse as its data, and an alarm where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genfoundry.journal import Journal
from genfoundry.params import Training
from genfoundry.progress import say
from genfoundry.training.checkpoint import step_of

GUIDE = "docs/training-health.md"


def mean_distance(images: np.ndarray) -> float:
    """The mean Euclidean distance of two of the images (N, …) uint8; 0 where there are not two."""
    from scipy.spatial.distance import pdist

    return float(pdist(images.reshape(len(images), -1)).mean()) if len(images) > 1 else 0.0


def diversity(samples: np.ndarray, real: np.ndarray) -> float:
    """Mean pairwise distance of samples over that of real images: 0 for one image alone, 1 for the data's own."""
    expected = mean_distance(real)
    return mean_distance(samples) / expected if expected else 1.0


@dataclass(frozen=True)
class Health:
    """Holds the samples of one run against real images (N, C, H, W) uint8.

    Those of an untrained generator are all alike too, so the alarm waits until some were good, or for the end.
    """

    run: str
    real: np.ndarray
    config: Training
    begun: int  # the step from which all phases train: before, samples are of a model that is not whole
    good: Path  # the last state whose samples were good
    journal: Journal

    def check(self, graph: str, step: int, samples: np.ndarray) -> bool:
        """Whether samples (N, C, H, W) uint8 are good beside the real images; their diversity is a point."""
        found, below = diversity(samples, self.real), self.config.collapse_below
        self.journal.metrics(step, {f"{graph}/diversity": found})
        kept = step_of(self.good)
        kept = kept if kept <= step else 0  # a resumed training may not have come to it again
        if found < below and (kept or step == self.config.steps):
            self._ring(graph, step, found, kept)
        return found >= below and step > self.begun

    def _ring(self, graph: str, step: int, found: float, kept: int) -> None:
        below = self.config.collapse_below
        line = f"step {step}: {graph} gives samples {found:.2f} as diverse as real images, under {below}"
        fallback = (
            f"step {kept} was good, is kept in {self.good} and ships if training ends so"
            if kept
            else "no state was good, so this one ships"
        )
        self.journal.tags({"collapse": line})
        say(f"{self.run}: COLLAPSE, {line}; {fallback}. {GUIDE} says what to try")
