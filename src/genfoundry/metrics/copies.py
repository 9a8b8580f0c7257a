"""Memorisation: samples that are nearer to a training image than new real images are (after Meehan et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfoundry.metrics import Estimate, Metric, MetricError, Sampled, Seen, estimate
from genfoundry.metrics.pairs import nearest
from genfoundry.params import Evaluation

MOST = 1000  # samples, and held-out images, whose nearest training image is looked for
ROWS_SEED = 0  # of the protocol: which those are
NEAR = 0.05  # share of the held-out images that count as near by chance


@dataclass(frozen=True)
class NearestOf:
    """Makes the squared distances to the nearest training image."""

    train: Seen

    def __call__(self, seen: Seen) -> np.ndarray:
        """(min(N, MOST),), at random: files may be sorted by class."""
        rows = np.random.default_rng(ROWS_SEED).permutation(len(seen))[:MOST]
        return nearest(seen.features[rows], self.train.features)


def copies(evidence: Sampled, _: Evaluation) -> Estimate:
    """Share of samples that are as near as the nearest `NEAR` of held-out images are, beyond that share itself.

    0 for new images, whether good or bad; 1 where all are copies. Meehan's test takes the mean rank of all
    distances, in which samples far from everything hide those that are copies; this one looks at the near end.

    Raises:
        MetricError: nobody has said what the training images are.
    """
    if evidence.train is None:
        raise MetricError("there are no training images to compare with")
    make = NearestOf(evidence.train)
    control = evidence.real.once(make)
    limit = np.quantile(control, NEAR)
    near, expected = evidence.samples.once(make) <= limit, control <= limit
    excess = (near.mean() - NEAR) / (1.0 - NEAR)
    return estimate(max(0.0, float(excess)), near / (1.0 - NEAR), -(expected / (1.0 - NEAR)))


METRIC = Metric(
    "copies_judge",
    "lower",
    copies,
    f"share of {MOST} samples as near to a training image as the nearest {NEAR:.0%} of held-out ones, beyond that",
    fits=lambda evidence: evidence.train is not None,
    leads_boards=False,
    short="copies",
)
