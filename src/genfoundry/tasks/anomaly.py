"""Images of classes that a run has not learnt from, told by how badly they are reconstructed."""

from __future__ import annotations

import numpy as np

from genfoundry.data.supply import of_classes
from genfoundry.metrics import Detected, auroc
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.pictures import beside, from_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task

PAIRS = 8  # in a row of the picture


def find(setting: Setting) -> Finding:
    """Squared error of each held-out image, through the model and through PCA fitted to the same classes."""
    spec, test = setting.prepared.spec, setting.prepared.split("test")
    images = from_bytes(test.images[: setting.config.samples])
    normal = [spec.classes.index(label) for label in setting.data.classes or ()]
    anomalous = ~np.isin(test.labels[: setting.config.samples], normal)
    width = int(setting.artifact.graph("encode").outputs["latent"].shape[1])
    pca = PcaBaseline(of_classes(setting.prepared.split("train"), spec, setting.data.classes).images, width)
    outputs = {"value": setting.artifact.reconstruct(images), "baseline": pca.reconstruct(images)}
    scores = {role: np.square(output - images).mean(axis=(1, 2, 3)) for role, output in outputs.items()}
    order = np.argsort(-scores["value"])
    shown = order[np.linspace(0, len(order) - 1, setting.config.pictures).astype(int)]
    caption = "From the most to the least anomalous: image and reconstruction, in pairs"
    return Finding(
        {role: Detected(found, anomalous) for role, found in scores.items()},
        f"PCA with {width} components",
        {"n": len(images), "conditions": f"normal: {', '.join(setting.data.classes or ())}"},
        {"anomaly": Picture(beside(images[shown], outputs["value"][shown]), caption, columns=2 * PAIRS)},
    )


TASK = Task(
    "anomaly",
    ("reconstruct", "encode"),
    (auroc.METRIC,),
    find,
    prefix="anomaly_",
    wanted=lambda setting: setting.data.classes is not None,
)
