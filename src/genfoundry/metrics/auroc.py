"""Area under the receiver operating characteristic."""

from __future__ import annotations

import torch

from genfoundry.metrics import Detected, Metric
from genfoundry.params import Evaluation


def auroc(evidence: Detected, _: Evaluation) -> float:
    """The chance that an anomaly scores higher than a normal image; ties count half."""
    from torchmetrics.functional.classification import binary_auroc

    ranks = torch.from_numpy(evidence.scores).argsort().argsort()  # exact where float32 would make ties
    return float(binary_auroc(ranks.double() / len(ranks), torch.from_numpy(evidence.anomalous)))


METRIC = Metric("auroc", "higher", auroc, "area under the ROC curve, anomalies against normal images")
