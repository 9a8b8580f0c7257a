"""How much of the class a linear map can read off a latent."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Classified, accuracy
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Finding, Setting, Task, learns_all

PROBE_IMAGES = 10000  # labels that the probe learns from


def find(setting: Setting) -> Finding:
    """Logistic regression on the model's codes, and on as many principal components."""
    train, test = setting.prepared.split("train"), setting.prepared.split("test")
    chosen = np.random.default_rng(setting.seed).permutation(len(train))[:PROBE_IMAGES]
    images = [from_bytes(train.images[np.sort(chosen)]), from_bytes(test.images[: setting.config.samples])]
    labels, asked = train.labels[np.sort(chosen)], np.asarray(test.labels[: setting.config.samples])
    encode = setting.artifact.graph("encode")
    width = int(encode.outputs["latent"].shape[1])
    pca = setting.pca(width)
    codes = {"value": [encode(image=x) for x in images], "baseline": [pca.encode(x) for x in images]}
    return Finding(
        {role: Classified(asked, probed(fit, labels, held_out)) for role, (fit, held_out) in codes.items()},
        f"PCA with {width} components",
        {"n": len(asked), "probe": f"logistic regression on {len(labels)} labelled images"},
    )


def probed(codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(N, D) codes with labels (N,), (M, D) codes without → (M,) classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return np.asarray(probe.fit(codes, labels).predict(held_out))


def has_labels(setting: Setting) -> bool:
    """Whether there are classes to read off, and the run knows them all."""
    return bool(setting.prepared.spec.classes) and learns_all(setting)


TASK = Task("features", ("encode", "reconstruct"), (accuracy.METRIC,), find, prefix="features_", wanted=has_labels)
