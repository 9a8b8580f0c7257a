"""How many of the data's classes a generator covers."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, Sampled
from genfoundry.metrics.inception_score import knows_classes
from genfoundry.params import Evaluation

DRAWS = 100  # of as many samples, which say how far a count may be off


def mode_count(evidence: Sampled, config: Evaluation) -> Estimate:
    """Classes whose share of the samples is at least `mode_share` of a fair share.

    A count follows no small change, so its error is a bootstrap's: the deviation over draws from the same shares.
    """
    shares, _ = evidence.class_shares()
    count = len(evidence.samples)
    drawn = np.random.default_rng(0).multinomial(count, shares, DRAWS) / count
    return Estimate(float(_covered(shares, config)), float(_covered(drawn, config).std(ddof=1)))


def _covered(shares: np.ndarray, config: Evaluation) -> np.ndarray:
    """(…, classes) → (…)."""
    return (shares * shares.shape[-1] >= config.mode_share).sum(axis=-1)


METRIC = Metric(
    "modes", "higher", mode_count, "classes with at least mode_share of a fair share", fits=knows_classes
)
