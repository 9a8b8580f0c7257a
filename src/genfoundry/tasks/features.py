"""How much of the class a linear map can read off a latent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from genfoundry.metrics import Classified, accuracy
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Finding, Setting, Task, learns_all

PROBE_IMAGES = 10000  # labels that the probe learns from

Probe = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # `probed`, for one


@dataclass(frozen=True)
class Codes:
    """Of training images, from whose labels a probe learns, and of held-out ones; by the model and by PCA."""

    roles: Mapping[str, tuple[np.ndarray, np.ndarray]]  # role → (N, D) and (M, D)
    labels: np.ndarray  # (N,)
    asked: np.ndarray  # (M,)

    def read_off(self, probe: Probe) -> dict[str, Classified]:
        """What a probe makes of the held-out codes."""
        return {
            role: Classified(self.asked, probe(fit, self.labels, held_out))
            for role, (fit, held_out) in self.roles.items()
        }


def find(setting: Setting) -> Finding:
    """Logistic regression on the model's codes, and on as many principal components."""
    found = codes(setting)
    return Finding(
        found.read_off(probed),
        f"PCA with {setting.pca(setting.latent_width).components} components",
        {"n": len(found.asked), "probe": f"logistic regression on {len(found.labels)} labelled images"},
    )


def codes(setting: Setting) -> Codes:
    """Of `PROBE_IMAGES` training images, and of those that are held out."""
    train, test = setting.prepared.split("train"), setting.prepared.split("test")
    chosen = np.sort(np.random.default_rng(setting.seed).permutation(len(train))[:PROBE_IMAGES])
    fit, held_out = from_bytes(train.images[chosen]), from_bytes(test.images[: setting.config.held_out])
    encode, pca = setting.artifact.graph("encode"), setting.pca(setting.latent_width)
    roles = {
        "value": (encode(image=fit), encode(image=held_out)),
        "baseline": (pca.encode(fit), pca.encode(held_out)),
    }
    return Codes(roles, train.labels[chosen], np.asarray(test.labels[: setting.config.held_out]))


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
