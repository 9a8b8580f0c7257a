"""Area under the receiver operating characteristic."""

from __future__ import annotations

from genfoundry.metrics import Detected, Metric
from genfoundry.params import Evaluation


def auroc(evidence: Detected, _: Evaluation) -> float:
    """The chance that an anomaly scores higher than a normal image; ties count half."""
    import torch

    from genfoundry.torchvision_shim import torchmetrics_classification

    ranks = torch.from_numpy(evidence.scores).argsort().argsort()  # exact where float32 would make ties
    anomalous = torch.from_numpy(evidence.anomalous)
    return float(torchmetrics_classification().binary_auroc(ranks.double() / len(ranks), anomalous))


METRIC = Metric("auroc", "higher", auroc, "area under the ROC curve, anomalies against normal images")
