"""Images of classes that a run has not learnt from, told by their reconstruction, or by the bound on log p."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genfoundry.metrics import Detected, auroc
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.pictures import beside, from_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task
from genfoundry.tasks.likelihood import log_prob
from genfoundry.tasks.restore import as_seen, held_out

PAIRS = 8  # in a row of the picture

Surprise = Callable[[Setting, np.ndarray, np.ndarray], np.ndarray]  # images and reconstructions → (N,)


def error(setting: Setting, images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Squared, mean over pixels: (N, C, H, W) uint8 and in [0, 1] → (N,)."""
    return np.square(outputs - from_bytes(images)).mean(axis=(1, 2, 3))


def bound(setting: Setting, images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """−ELBO in nats, (N,)."""
    return -log_prob(setting, "elbo", {"image": images})


def find(name: str, surprise: Surprise, setting: Setting) -> Finding:
    """How each held-out image surprises the model, beside the error of PCA fitted to the same classes."""
    spec, images = setting.prepared.spec, held_out(setting, setting.config.held_out)
    known = setting.data.classes or ()
    labels = setting.prepared.split("test").labels[: len(images)]
    anomalous = ~np.isin(labels, [spec.classes.index(label) for label in known])
    normal = as_seen(setting, setting.learnt.images)
    pca = PcaBaseline(normal, setting.latent_width)
    outputs = setting.artifact.reconstruct(from_bytes(images))
    scores = {
        "value": surprise(setting, images, outputs),
        "baseline": error(setting, images, pca.reconstruct(from_bytes(images))),
    }
    order = np.argsort(-scores["value"])
    shown = order[np.linspace(0, len(order) - 1, setting.config.pictures).astype(int)]
    caption = "From the most to the least anomalous: image and reconstruction, in pairs"
    return Finding(
        {role: Detected(found, anomalous) for role, found in scores.items()},
        f"the error of PCA with {pca.components} components",
        {"n": len(images), "conditions": f"normal: {', '.join(known)}"},
        {name: Picture(beside(images[shown], outputs[shown]), caption, columns=2 * PAIRS)},
    )


def detecting(name: str, graphs: tuple[str, ...], surprise: Surprise) -> Task:
    """The task of telling anomalies by how much they surprise."""
    return Task(
        name,
        graphs,
        (auroc.METRIC,),
        find=lambda setting: find(name, surprise, setting),
        prefix=f"{name}_",
        wanted=lambda setting: setting.data.classes is not None,
    )


TASKS = (
    detecting("anomaly", ("reconstruct", "encode"), error),
    detecting("anomaly_elbo", ("elbo", "reconstruct", "encode"), bound),
)
