"""Scores of exported files. One file a metric, each a function of evidence; the tasks gather the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from genfoundry.params import Evaluation

JUDGE = "judge"  # the extractor that was trained on the data set itself
INCEPTION = "inception"  # that which FID and KID are defined on

T = TypeVar("T")


class MetricError(ValueError):
    """What cannot be scored; the message says why."""


@dataclass(frozen=True)
class Estimate:
    """A score and how far it may be off."""

    value: float
    stderr: float | None = None
    std: float | None = None  # over the subsets that the value is a mean of, where it is one
    #: (N,) of each observation on it, by independent set, where known.
    influences: tuple[np.ndarray, ...] = field(default=(), compare=False, repr=False)


def estimate(value: float, *influences: np.ndarray, std: float | None = None) -> Estimate:
    """A score with the error that its influences say; see `standard_error`."""
    return Estimate(value, standard_error(*influences), std, influences)


def standard_error(*influences: np.ndarray) -> float | None:
    """Of a value, by the influence (N,) that each observation has on it; one array for each independent set.

    The infinitesimal jackknife (Efron 1982, chapter 6), to which the bootstrap's error tends. Of a mean over
    observations, they are their own influences. None where a set is a single one, or a value is infinite.
    """
    if not all(len(each) > 1 and np.isfinite(each).all() for each in influences):
        return None
    return float(np.sqrt(sum(each.var(ddof=1) / len(each) for each in influences)))


def difference_error(a: Estimate, b: Estimate) -> float | None:
    """The standard error of a − b.

    Sets of one size are taken observation by observation: of the same images, what is hard for both cancels; of
    independent sets, which may be paired in any order, nothing does.
    """
    if not (a.influences and b.influences):
        return None if a.stderr is None or b.stderr is None else math.hypot(a.stderr, b.stderr)
    pairs = zip(a.influences, b.influences, strict=True)
    return standard_error(*(part for x, y in pairs for part in ([x - y] if len(x) == len(y) else [x, y])))


def mean(scores: np.ndarray, strata: np.ndarray | None = None) -> Estimate:
    """Of (N,) scores, each of one observation; `strata` (N,) number the groups that were drawn from evenly.

    With a fixed share of the draws for each stratum, only what varies within them errs (Cochran 1977, chapter 5).
    """
    scores = scores.astype(np.float64)
    return estimate(float(scores.mean()), scores if strata is None else _within(scores, strata))


def _within(scores: np.ndarray, strata: np.ndarray) -> np.ndarray:
    counts = np.bincount(strata)
    centred = scores - (np.bincount(strata, scores) / counts)[strata]
    return centred * np.sqrt(counts / (counts - 1))[strata]


@dataclass(frozen=True, eq=False)
class Once:
    """Remembers what was worked out about it: real images are in many comparisons."""

    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, make: Callable[[Any], T]) -> T:
        """What `make` gives of it, worked out at the first asking."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]


@dataclass(frozen=True, eq=False)
class Seen(Once):
    """What an extractor sees in images.

    Raises:
        MetricError: not two images, or features that are not finite.
    """

    features: np.ndarray  # (N, D) float32
    logits: np.ndarray | None = None  # (N, classes) float32, where it knows classes

    def __post_init__(self) -> None:
        if len(self.features) < 2:
            raise MetricError(f"a set of {len(self.features)} images has no distribution; two are the least")
        if not np.isfinite(self.features).all():
            raise MetricError("features are not finite: the images or the extractor hold NaN or infinity")

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) the likeliest classes.

        Raises:
            MetricError: the extractor knows no classes.
        """
        if self.logits is None:
            raise MetricError("this extractor knows no classes")
        return self.logits.argmax(axis=1)

    def take(self, rows: np.ndarray | slice) -> Seen:
        """Some of the images."""
        return Seen(self.features[rows], None if self.logits is None else self.logits[rows])


@dataclass(frozen=True)
class Paired:
    """Images and what they should be: (N, C, H, W) float32 in [0, 1] twice.

    Raises:
        MetricError: values that are not finite.
    """

    target: np.ndarray
    output: np.ndarray
    distances: np.ndarray | None = None  # (N,) as a published network sees them, where the run names one

    def __post_init__(self) -> None:
        if not np.isfinite(self.output).all():
            raise MetricError("the images hold NaN or infinity; there is nothing to score")


@dataclass(frozen=True, eq=False)
class Sampled(Once):
    """What one extractor sees in a set of samples, and in the held-out real images."""

    samples: Seen
    real: Seen
    train: Seen | None = None  # images that the generator may have copied
    extractor: str = JUDGE

    @property
    def width(self) -> int:
        """D, of the features."""
        return self.real.features.shape[1]

    @property
    def few(self) -> bool:
        """Whether a covariance of the features would be singular."""
        return min(len(self.samples), len(self.real)) <= self.width

    def class_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """(classes,) twice: the share of each class that the judge sees in the samples, and in the real images.

        Raises:
            MetricError: the judge knows no classes.
        """
        samples, real = (
            np.bincount(seen.labels, minlength=seen.logits.shape[1]) / len(seen)  # type: ignore[union-attr]
            for seen in (self.samples, self.real)
        )
        return samples, real


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities of held-out images: of 8-bit values, or of bits where the data is binary."""

    nats: np.ndarray  # (N,)
    dims: int
    strata: np.ndarray | None = None  # (N,) by number, where noise was drawn evenly from several


@dataclass(frozen=True)
class Classified:
    """What something was to be, and what it is taken for."""

    asked: np.ndarray  # (N,) classes
    found: np.ndarray  # (N,)


@dataclass(frozen=True)
class Trials:
    """Accuracies of one classifier, trained once for each seed, and perhaps on real images alone too."""

    accuracies: np.ndarray  # (seeds,)
    without: np.ndarray | None = None  # (seeds,)


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
    compute: Callable[[Any, Evaluation], Estimate]
    definition: str
    fits: Callable[[Any], bool] = lambda evidence: True  # whether such evidence allows it
    needs_many: bool = False  # images: with too few for a covariance of the features, it leads no board
    leads_boards: bool = True  # may rank runs; what only warns does not
    short: str = ""  # its name where a published network gives the features: fd_effnet is not fid_judge

    def leads(self, evidence: Any) -> bool:
        """Whether it is sound enough to rank the runs of a board."""
        return self.leads_boards and not (self.needs_many and evidence.few)

    def called(self, evidence: Any) -> str:
        """Its name, which says whose features it was measured on."""
        extractor = getattr(evidence, "extractor", JUDGE)
        if extractor in (JUDGE, INCEPTION):
            return self.name.replace(JUDGE, extractor)
        return f"{self.short}_{extractor}"
