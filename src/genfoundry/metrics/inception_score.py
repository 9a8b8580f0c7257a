"""Inception score, on whatever classifier looks (Salimans et al. 2016, section 4)."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Estimate, Metric, MetricError, Sampled, estimate
from genfoundry.params import Evaluation


def inception_score(logits: np.ndarray) -> Estimate:
    """exp E KL(p(y | x) ‖ p(y)) of (N, classes) logits, in one split; from 1 to the number of classes."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    q = p.mean(axis=0)
    seen = q > 0.0
    information = (p[:, seen] * (log_p[:, seen] - np.log(q[seen]))).sum(axis=1)
    value = float(np.exp(information.mean()))
    return estimate(value, value * information)  # p(y)'s own share of the influence is constant


def is_judge(evidence: Sampled, _: Evaluation) -> Estimate:
    """Of the samples, by the judge's classes: no score of Inception's."""
    if evidence.samples.logits is None:
        raise MetricError(f"{evidence.extractor} knows no classes")
    return inception_score(evidence.samples.logits)


def knows_classes(evidence: Sampled) -> bool:
    """Whether the extractor gives logits."""
    return evidence.samples.logits is not None


METRIC = Metric(
    "is_judge",
    "higher",
    is_judge,
    "exp of the mean KL between the judge's classes of a sample and of all, one split",
    fits=knows_classes,
    short="is",
)
