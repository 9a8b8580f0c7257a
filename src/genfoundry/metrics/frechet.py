"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, equation 6), whole and by class."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from genfoundry.metrics import Estimate, Metric, Sampled, Seen, estimate
from genfoundry.params import Evaluation

HALVES_SEED = 0  # of the protocol: which samples are in which half
LEFT = 1e-8  # share of a feature's variance that those before it must leave unexplained, for a Cholesky factor


@dataclass(frozen=True)
class Moments:
    """Mean μ (D,) and covariance C = RᵀR of features (N, D), in float64, with R = Qᵀ(x − μ)/√(N−1)."""

    mean: np.ndarray
    root: np.ndarray  # R: (min(N, D), D), upper triangular


def moments(features: np.ndarray) -> Moments:
    """Of (N, D) features."""
    mean, rows = _centred(features)
    return Moments(mean, _root(rows))


def _root(rows: np.ndarray) -> np.ndarray:
    """R of rows (N, D) = Q R: by Cholesky of the covariance where that is sound, a sixth of the time of QR."""
    if len(rows) > rows.shape[1]:
        with contextlib.suppress(np.linalg.LinAlgError):
            root = np.linalg.cholesky(rows.T @ rows).T
            if _sound(root):
                return root
    return np.asarray(np.linalg.qr(rows, mode="r"))


def _sound(root: np.ndarray) -> bool:
    """Whether R is square and far from singular, whatever the features' scales."""
    squares = np.square(root)
    return squares.shape[0] == squares.shape[1] and bool((squares.diagonal() > LEFT * squares.sum(axis=0)).all())


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(C_a + C_b − 2 (C_a C_b)^½) of features (N, D) and (M, D), in float64."""
    return between(moments(a), moments(b))


def between(a: Moments, b: Moments) -> float:
    """The distance; tr (C_a C_b)^½ is the nuclear norm of R_a R_bᵀ: no matrix root, never negative."""
    cross = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
    traces = np.square(a.root).sum() + np.square(b.root).sum()
    return float(np.square(a.mean - b.mean).sum() + traces - 2.0 * cross)


def influences(a: np.ndarray, b: np.ndarray, of_a: Moments, of_b: Moments) -> tuple[np.ndarray, np.ndarray]:
    """(N,) and (M,) of the features, with their moments, on their distance.

    With A = Q R the centred features over √(N−1), a row a adds ‖a‖² − [(M Mᵀ)^½]_aa for M = A Bᵀ, whose nuclear
    norm is tr (C_a C_b)^½; its mean's share is 2 (x − μ_a)·(μ_a − μ_b).
    """
    (_, rows_a), (_, rows_b) = _centred(a), _centred(b)
    u, s, v = np.linalg.svd(of_a.root @ of_b.root.T, full_matrices=False)
    return (
        _pulls(rows_a, _directions(rows_a, of_a.root, u), s, of_a.mean - of_b.mean),
        _pulls(rows_b, _directions(rows_b, of_b.root, v.T), s, of_b.mean - of_a.mean),
    )


def _directions(rows: np.ndarray, root: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Q times `turn`, of rows = Q R: Q is rows R⁻¹ where there is a sound one."""
    if _sound(root):
        from scipy.linalg import solve_triangular

        return rows @ solve_triangular(root, turn)
    return np.linalg.qr(rows)[0] @ turn


def _pulls(rows: np.ndarray, directions: np.ndarray, s: np.ndarray, apart: np.ndarray) -> np.ndarray:
    degrees = len(rows) - 1
    spread = degrees * (np.square(rows).sum(axis=1) - np.square(directions) @ s)
    return spread + 2.0 * np.sqrt(degrees) * (rows @ apart)


def _centred(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    rows = features - mean
    rows /= np.sqrt(len(features) - 1)
    return mean, rows


def moments_of(seen: Seen) -> Moments:
    """Of all that was seen; the real images' are worked out once."""
    return moments(seen.features)


def influences_of(evidence: Sampled) -> tuple[np.ndarray, np.ndarray]:
    """Of the samples and of the real images on their distance."""
    samples, real = evidence.samples, evidence.real
    return influences(samples.features, real.features, samples.once(moments_of), real.once(moments_of))


def fid_judge(evidence: Sampled, _: Evaluation) -> Estimate:
    """Samples against the held-out real images, on the judge's features: no FID of Inception's."""
    value = between(evidence.samples.once(moments_of), evidence.real.once(moments_of))
    return estimate(value, *evidence.once(influences_of))


def fid_infinity(evidence: Sampled, _: Evaluation) -> Estimate:
    """The distance of infinitely many samples, as its bias falls with 1/N (Chong & Forsyth 2020, section 3).

    Of the line through the distance of all samples and the mean of that of two halves. To first order the halves'
    errors cancel, so its standard error is that of the distance.
    """
    real, samples = evidence.real.once(moments_of), evidence.samples
    halves = np.array_split(np.random.default_rng(HALVES_SEED).permutation(len(samples)), 2)
    of_half = float(np.mean([between(moments(samples.features[half]), real) for half in halves]))
    return estimate(2.0 * between(samples.once(moments_of), real) - of_half, *evidence.once(influences_of))


def class_fid(evidence: Sampled, config: Evaluation) -> Estimate:
    """The mean over classes, as the judge sees them, of the distance between samples and real images of each."""
    found = [fid_judge(part, config) for part in by_class(evidence)]
    pulls = [pull / len(found) for part in found for pull in part.influences]
    return estimate(float(np.mean([part.value for part in found])), *pulls)


def by_class(evidence: Sampled) -> list[Sampled]:
    """The evidence on each class of the judge's."""
    count = len(evidence.class_shares()[0])
    masks = [(evidence.samples.labels == label, evidence.real.labels == label) for label in range(count)]
    return [Sampled(evidence.samples.take(s), evidence.real.take(r)) for s, r in masks]


def has_many_of_each(evidence: Sampled) -> bool:
    """Whether each class, as the judge sees it, has more samples and real images than there are features."""
    if evidence.samples.logits is None:
        return False
    shares = evidence.class_shares()
    counts = [len(seen) * share for seen, share in zip((evidence.samples, evidence.real), shares, strict=True)]
    return bool(min(map(np.min, counts)) > evidence.width)


def has_many_halves(evidence: Sampled) -> bool:
    """Whether half of the samples are more than there are features: with fewer, the bias is not one of 1/N."""
    return len(evidence.samples) // 2 > evidence.width and not evidence.few


METRIC = Metric(
    "fid_judge",
    "lower",
    fid_judge,
    "Fréchet distance on the extractor's features, float64",
    needs_many=True,
    short="fd",
)
INFINITY = Metric(
    "fid_infinity_judge",
    "lower",
    fid_infinity,
    "Fréchet distance extrapolated to infinitely many samples, from all and from halves",
    fits=has_many_halves,
    short="fd_infinity",
)
OF_CLASSES = Metric(
    "class_fid_judge",
    "lower",
    class_fid,
    "Fréchet distance of samples and real images of one class, mean over the judge's classes",
    fits=has_many_of_each,
    short="class_fd",
)
