"""A generator as a classifier: Bayes' rule on its bound for each class, beside the judge."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Classified, accuracy
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Finding, Setting, Table, Task, learns_all, noise_width
from genfoundry.tasks.likelihood import log_prob
from genfoundry.tasks.restore import as_seen, held_out


def find(setting: Setting) -> Finding:
    """The class y of largest log p(x | y) + log p(y), its first term by the ELBO, and by probabilistic PCA."""
    train, test = setting.labelled, setting.prepared.split("test")
    images, classes = held_out(setting, setting.config.held_out), setting.prepared.spec.classes
    asked = np.asarray(test.labels[: len(images)])
    log_prior = np.log(np.bincount(train.labels, minlength=len(classes)) / len(train))
    width = noise_width(setting.artifact.graph("elbo"))
    given_class = {
        "value": [
            log_prob(setting, "elbo", {"image": images, "label": np.full(len(images), label)})
            for label in range(len(classes))
        ],
        "baseline": [
            PcaBaseline(as_seen(setting, train.images[train.labels == label]), width).log_prob(from_bytes(images))
            for label in range(len(classes))
        ],
    }
    found = {role: (np.stack(nats, axis=1) + log_prior).argmax(axis=1) for role, nats in given_class.items()}
    found["judge"] = setting.reference.classify(test.images[: len(images)])  # seen as it has learnt to see them
    return Finding(
        {role: Classified(asked, labels) for role, labels in found.items()},
        f"Bayes' rule on probabilistic PCA with {width} components for each class",
        {"n": len(images), "conditions": "binarised images" if setting.data.binarize else ""},
        tables={"bayes": by_class(asked, found, classes)},
    )


def by_class(asked: np.ndarray, found: dict[str, np.ndarray], classes: tuple[str, ...]) -> Table:
    """The share of each class's images that each classifier recognises."""
    rows = [
        [name, *(f"{(labels[asked == number] == number).mean():.4f}" for labels in found.values())]
        for number, name in enumerate(classes)
        if (asked == number).any()
    ]
    return Table(("class", *found), rows)


def has_class_bound(setting: Setting) -> bool:
    """Whether the bound is of images of a class, all are known, and the judge knows them."""
    inputs = setting.artifact.graph("elbo").inputs
    return "label" in inputs and learns_all(setting) and setting.reference.knows_classes


TASK = Task("bayes", ("elbo",), (accuracy.METRIC,), find, prefix="bayes_", wanted=has_class_bound)
