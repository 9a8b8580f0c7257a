"""Classification accuracy score: learnt from samples alone, tested on real images (Ravuri & Vinyals 2019)."""

from __future__ import annotations

import numpy as np

from genfoundry.data.batches import Split
from genfoundry.metrics import Trials, gain
from genfoundry.tasks import Finding, Setting, Task, augment, control, noise_width

SEEDS = 2  # trainings from each set of images: they differ by a percent


def find(setting: Setting) -> Finding:
    """From samples of each class, from a Gaussian for each class, and from as many real images: the floor."""
    graph, classes = setting.artifact.graph("generate"), setting.prepared.spec.classes
    images, labels = control.of_each_class(setting, setting.config.augmentation.generated // len(classes))
    gaussians, name = control.class_gaussians(setting, labels, noise_width(graph))
    rows = np.random.default_rng(setting.seed).permutation(len(setting.labelled))[: len(images)]
    taught = {
        "value": Split({"image": images, "label": labels}),
        "baseline": Split({"image": gaussians, "label": labels}),
        "floor": setting.labelled.take(np.sort(rows)),
    }
    found = {role: accuracies(setting, split) for role, split in taught.items()}
    return Finding(
        {role: Trials(values) for role, values in found.items()},
        name,
        {"n": len(augment.held_out(setting)), "generated": len(images), "seeds": SEEDS},
    )


def accuracies(setting: Setting, split: Split) -> np.ndarray:
    """(SEEDS,) on held-out real images, of the classifier of `augment`, trained on the split."""
    config = setting.config.augmentation
    trials = [augment.accuracy(setting, augment.alone(split, config, seed), seed) for seed in range(SEEDS)]
    return np.array(trials)


def from_all_labels(setting: Setting) -> bool:
    """Whether the generator takes a class, which the judge would know, and saw the label of each image."""
    return setting.data.labels is None and control.of_all_classes(setting)


TASK = Task("cas", ("generate",), (gain.LEARNT,), find, prefix="cas_", wanted=from_all_labels)
