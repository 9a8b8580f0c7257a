"""Held-out images, told apart by a classifier that saw few labels."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Classified, error
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task

MOST_LABELLED = 10000  # images that the baseline learns from


def find(setting: Setting) -> Finding:
    """The class of the largest logit; beside the rival's, or a linear classifier's on the same labels."""
    test, classes = setting.prepared.split("test"), setting.prepared.spec.classes
    images, asked = test.images[: setting.config.held_out], np.asarray(test.labels[: setting.config.held_out])
    logits = setting.artifact.graph("classify")(image=from_bytes(images))
    baseline, name = other_classes(setting, images)
    caption = f"A row for each class ({', '.join(classes)}), a column for what it is taken for: the surest case"
    return Finding(
        {"value": Classified(asked, logits.argmax(axis=1)), "baseline": Classified(asked, baseline)},
        name,
        {"n": len(images), "conditions": f"{len(setting.labelled)} labels"},
        {"classify": Picture(confusions(images, asked, logits), caption, columns=len(classes))},
    )


def other_classes(setting: Setting, images: np.ndarray) -> tuple[np.ndarray, str]:
    """(N,) classes of images (N, C, H, W) uint8, and where they come from."""
    if setting.rival and "classify" in setting.rival:
        logits = setting.rival.graph("classify")(image=from_bytes(images))
        return logits.argmax(axis=1), f"the run {setting.rival.about['run']}"
    few = setting.labelled.take(np.arange(min(MOST_LABELLED, len(setting.labelled))))
    return linear(few.images, few.labels, images), f"logistic regression on {len(few)} labelled images"


def linear(images: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(N, C, H, W) uint8 with labels (N,), (M, C, H, W) without → (M,) classes."""
    from sklearn.linear_model import LogisticRegression

    pixels, asked = (from_bytes(batch).reshape(len(batch), -1) for batch in (images, held_out))
    return np.asarray(LogisticRegression(max_iter=300).fit(pixels, labels).predict(asked))


def confusions(images: np.ndarray, asked: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(classes², C, H, W): by class and what it is taken for, the image with the surest logits, or white."""
    count = logits.shape[1]
    cells = asked * count + logits.argmax(axis=1)
    first, second = np.partition(logits, -2, axis=1)[:, :-3:-1].T
    chosen = np.full((count**2, *images.shape[1:]), 255, np.uint8)
    for row in np.argsort(first - second):  # the surest last
        chosen[cells[row]] = images[row]
    return chosen


TASK = Task("classify", ("classify",), (error.METRIC,), find, prefix="classify_")
