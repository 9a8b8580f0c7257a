"""A latent of two numbers as a map: where held-out images lie on it, and what is decoded from each place."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import accuracy
from genfoundry.pictures import to_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task, charts
from genfoundry.tasks.features import codes, has_labels
from genfoundry.tasks.interpolate import has_normal_prior

NEIGHBOURS = 15
SIDE = 20  # places along each side of the map


def find(setting: Setting) -> Finding:
    """A neighbours' vote on the model's map and on that of two principal components, both drawn."""
    found = codes(setting)
    maps = {"the model": found.roles["value"][1], "two principal components": found.roles["baseline"][1]}
    at = places(maps["the model"], has_normal_prior(setting.artifact))
    decoded = setting.artifact.graph("decode")(latent=at)
    classes = setting.prepared.spec.classes
    return Finding(
        found.read_off(nearest),
        "PCA with 2 components",
        {"n": len(found.asked), "probe": f"{NEIGHBOURS} nearest of {len(found.labels)} labelled images"},
        {
            "map": charts.scatter(maps, found.asked, classes, "Codes of held-out images, coloured by class"),
            "map_decoded": Picture(to_bytes(decoded), "What is decoded from the places of the map", columns=SIDE),
        },
    )


def places(found: np.ndarray, normal: bool) -> np.ndarray:
    """(SIDE², 2) in rows from the top left, over codes (N, 2).

    Along each axis an equal share of the prior lies between two places, by its inverse CDF (Kingma & Welling 2014,
    appendix A); of the codes where there is no normal prior.
    """
    from scipy.stats import norm

    shares = (np.arange(SIDE) + 0.5) / SIDE
    x, y = (norm.ppf(shares), norm.ppf(shares)) if normal else np.quantile(found, shares, axis=0).T
    across, down = np.meshgrid(x, y[::-1])
    return np.stack([across, down], axis=-1).reshape(-1, 2).astype(np.float32)


def nearest(found: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(N, D) codes with labels (N,), (M, D) codes without → (M,) classes, by the vote of the nearest."""
    from sklearn.neighbors import KNeighborsClassifier

    return np.asarray(KNeighborsClassifier(NEIGHBOURS).fit(found, labels).predict(held_out))


def is_a_plane(setting: Setting) -> bool:
    """Whether the latent can be drawn, and there are classes to colour it by."""
    return setting.latent_width == 2 and has_labels(setting)


TASK = Task("projection", ("encode", "decode"), (accuracy.METRIC,), find, prefix="projection_", wanted=is_a_plane)
