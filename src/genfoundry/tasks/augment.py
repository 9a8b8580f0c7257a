"""What generated images are worth to a classifier: it and the generator saw the same few labels, and no others."""

from __future__ import annotations

import numpy as np

from genfoundry.data.batches import Batches, Split
from genfoundry.data.supply import Supply
from genfoundry.metrics import Trials, gain
from genfoundry.params import Augmentation
from genfoundry.tasks import Finding, Setting, Task, control


class Mixed:
    """Batches that are made of others."""

    def __init__(self, *supplies: Supply) -> None:
        self._supplies = supplies

    def at(self, step: int) -> dict[str, np.ndarray]:
        """By key, one after the other."""
        parts = [supply.at(step) for supply in self._supplies]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def find(setting: Setting) -> Finding:
    """Accuracies of one classifier, trained for as long with generated images and without, once for each seed."""
    config, real = setting.config.augmentation, setting.labelled
    images, labels = control.of_each_class(setting, config.generated // len(setting.prepared.spec.classes))
    made = Split({"image": images, "label": labels})
    seeds = range(config.seeds)
    accuracies = np.array([accuracy(setting, mixed(real, made, config, seed), seed) for seed in seeds])
    without = np.array([accuracy(setting, alone(real, config, seed), seed) for seed in seeds])
    return Finding(
        {"value": Trials(accuracies, without), "baseline": Trials(without, without)},
        "the same classifier without generated images",
        {
            "n": len(held_out(setting)),
            "conditions": f"{len(real)} labels",
            "seeds": config.seeds,
            "generated": len(made),
        },
    )


def mixed(real: Split, made: Split, config: Augmentation, seed: int) -> Supply:
    """Batches of which `share` is generated."""
    size = config.training.batch_size
    count = round(config.share * size)
    return Mixed(Batches(real, size - count, seed), Batches(made, count, seed))


def alone(real: Split, config: Augmentation, seed: int) -> Supply:
    """Batches of the same size, all real."""
    return Batches(real, config.training.batch_size, seed)


def held_out(setting: Setting) -> Split:
    """The images that accuracy is measured on."""
    test = setting.prepared.split("test")
    return test.take(np.arange(min(setting.config.held_out, len(test))))


def accuracy(setting: Setting, supply: Supply, seed: int) -> float:
    """On held-out images, of a classifier trained on `supply`."""
    from genfoundry.judge.trial import learnt_classes  # torch

    test = held_out(setting)
    found = learnt_classes(setting.config.augmentation, supply, setting.prepared.spec, seed, test.images)
    return float((found == test.labels).mean())


def from_few_labels(setting: Setting) -> bool:
    """Whether the generator takes a class, learnt all of them, and saw the labels of some images alone."""
    return setting.data.labels is not None and control.of_all_classes(setting)


TASK = Task("augment", ("generate",), (gain.ACCURACY, gain.GAIN), find, prefix="augment_", wanted=from_few_labels)
