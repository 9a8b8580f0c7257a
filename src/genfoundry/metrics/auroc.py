"""Area under the receiver operating characteristic."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Detected, Estimate, Metric, estimate
from genfoundry.params import Evaluation


def auroc(evidence: Detected, _: Evaluation) -> Estimate:
    """The chance that an anomaly scores higher than a normal image; ties count half.

    It is a mean over both sets of each image's own chance, which are the influences (DeLong et al. 1988).
    """
    anomalies, normal = evidence.scores[evidence.anomalous], evidence.scores[~evidence.anomalous]
    chances = _beaten(anomalies, normal), 1.0 - _beaten(normal, anomalies)
    return estimate(float(chances[0].mean()), *chances)


def _beaten(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) the share of the others that each is higher than; ties count half."""
    ordered = np.sort(others)
    counts = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return counts / (2.0 * len(others))


METRIC = Metric("auroc", "higher", auroc, "area under the ROC curve, anomalies against normal images")
