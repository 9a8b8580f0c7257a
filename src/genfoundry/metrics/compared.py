"""Samples and real images, pair by pair: worked out once, for the kernel distance and for the manifolds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfoundry.metrics import Sampled, Seen
from genfoundry.metrics.pairs import Across, Within, across, within
from genfoundry.params import Evaluation

SAMPLES, REAL = 0, 1  # whose subsets; part of a seed
NEIGHBOURS = (3, 5)  # of the protocol: whose distances are radii (see manifold.py)


@dataclass(frozen=True)
class Compared:
    """The pairs inside both sets, and those across. S weightings mark subsets' rows, the last one all rows."""

    weights_samples: np.ndarray  # (N, S)
    weights_real: np.ndarray  # (M, S)
    samples: Within
    real: Within
    across: Across


@dataclass(frozen=True)
class Inside:
    """Makes the pairs inside a set, in subsets that are the same for a model, its baseline and the floor."""

    whose: int
    subsets: int
    size: int

    def __call__(self, seen: Seen) -> tuple[np.ndarray, Within]:
        """The weightings and what they give."""
        rng = np.random.default_rng([self.whose, len(seen)])
        size = min(self.size, len(seen))
        rows = np.stack([rng.choice(len(seen), size, replace=False) for _ in range(self.subsets)])
        weights = marked(rows, len(seen))
        return weights, within(seen.features, weights, NEIGHBOURS)


@dataclass(frozen=True)
class Comparison:
    """Makes `Compared` of evidence."""

    subsets: int
    size: int

    def __call__(self, evidence: Sampled) -> Compared:
        """Of as many rows in all subsets: those of the smaller set, at most."""
        size = min(self.size, len(evidence.samples), len(evidence.real))
        w_samples, samples = evidence.samples.once(Inside(SAMPLES, self.subsets, size))
        w_real, real = evidence.real.once(Inside(REAL, self.subsets, size))
        between = across(evidence.samples.features, evidence.real.features, w_real, samples, real)
        return Compared(w_samples, w_real, samples, real, between)


def compared(evidence: Sampled, config: Evaluation) -> Compared:
    """At the first asking, all pairs of samples and real images."""
    return evidence.once(Comparison(config.kid_subsets, config.kid_subset_size))


def marked(rows: np.ndarray, count: int) -> np.ndarray:
    """(S, size) rows of each subset → (count, S + 1) float64: 1 where a row is in, and a column of ones."""
    weights = np.ones((count, len(rows) + 1))
    weights[:, :-1] = 0.0
    weights[rows, np.arange(len(rows))[:, None]] = 1.0
    return weights
