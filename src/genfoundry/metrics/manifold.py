"""How much of the samples lies among the real images, and of the real images among the samples.

A set's manifold is made of balls, one around the features of each of its images, which reach to its k-th neighbour
in the set (Kynkäänniemi et al. 2019, equation 1). Precision and recall ask whether a point lies in any ball (their
equation 2). Density counts the balls that a sample lies in; coverage asks of each real ball whether it holds a
sample (Naeem et al. 2020, equations 3 and 4). Errors are of the points that are asked about; the balls are given.
"""

from __future__ import annotations

from collections.abc import Callable

from genfoundry.metrics import Estimate, Metric, Sampled, mean
from genfoundry.metrics.compared import NEIGHBOURS, compared
from genfoundry.params import Evaluation

THIRD, FIFTH = (NEIGHBOURS.index(k) for k in (3, 5))


def precision(evidence: Sampled, config: Evaluation) -> Estimate:
    """Share of the samples that lie in the real manifold, k = 3."""
    return mean(compared(evidence, config).across.balls_of_y[:, THIRD] > 0)


def recall(evidence: Sampled, config: Evaluation) -> Estimate:
    """Share of the real images that lie in the samples' manifold, k = 3."""
    return mean(compared(evidence, config).across.y_held[:, THIRD])


def density(evidence: Sampled, config: Evaluation) -> Estimate:
    """Real balls that a sample lies in, over k = 5: about 1 for the data's own distribution."""
    return mean(compared(evidence, config).across.balls_of_y[:, FIFTH] / NEIGHBOURS[FIFTH])


def coverage(evidence: Sampled, config: Evaluation) -> Estimate:
    """Share of the real balls that hold a sample, k = 5."""
    return mean(compared(evidence, config).across.y_holds[:, FIFTH])


def have_neighbours(evidence: Sampled) -> bool:
    """Whether each image has as many others in its set as a ball reaches to."""
    return min(len(evidence.samples), len(evidence.real)) > max(NEIGHBOURS)


def _metric(short: str, compute: Callable[[Sampled, Evaluation], Estimate], definition: str) -> Metric:
    return Metric(f"{short}_judge", "higher", compute, definition, fits=have_neighbours, short=short)


METRICS = (
    _metric("precision", precision, "samples in the real manifold, k = 3"),
    _metric("recall", recall, "real images in the samples' manifold, k = 3"),
    _metric("density", density, "real balls around a sample, over k = 5"),
    _metric("coverage", coverage, "real balls with a sample in them, k = 5"),
)
