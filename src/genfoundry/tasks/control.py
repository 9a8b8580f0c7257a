"""Class control: is an image of the class that was asked for?"""

from __future__ import annotations

import numpy as np

from genfoundry.judge.extractor import as_bytes
from genfoundry.metrics import Classified, accuracy
from genfoundry.metrics.baselines import PcaBaseline
from genfoundry.pictures import to_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task, learns_all, noise_width


def find(setting: Setting) -> Finding:
    """Equally many of each class, as the judge sees them; beside a Gaussian on PCA for each class."""
    graph, classes = setting.artifact.graph("generate"), setting.prepared.spec.classes
    images, asked = of_each_class(setting, setting.config.samples // len(classes))
    gaussians, name = class_gaussians(setting, asked, noise_width(graph))
    found = {"value": images, "baseline": gaussians}
    rows = max(1, setting.config.pictures // len(classes))
    styles, _ = of_each_class(setting, rows, alike=True)
    caption = f"A column for each class: {', '.join(classes)}"
    return Finding(
        {role: Classified(asked, setting.reference.classify(batch)) for role, batch in found.items()},
        name,
        {"n": len(images), **setting.reference.protocol},
        {
            "control": Picture(images[: rows * len(classes)], caption, columns=len(classes)),
            "styles": Picture(styles, f"{caption}; a row for each draw of noise", columns=len(classes)),
        },
    )


def of_each_class(setting: Setting, turns: int, alike: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, H, W) uint8 from the shipped file and the classes asked for, one after the other, `turns` times.

    `alike`: the classes of a turn share their noise.
    """
    graph, classes = setting.artifact.graph("generate"), len(setting.prepared.spec.classes)
    asked, rng = np.tile(np.arange(classes), turns), np.random.default_rng(setting.seed)
    inputs = {name: spec.draw(rng, batch=len(asked)) for name, spec in graph.inputs.items()}
    if alike:
        inputs = {name: array[::classes].repeat(classes, axis=0) for name, array in inputs.items()}
    labels = {name: asked.astype(spec.dtype) for name, spec in graph.inputs.items() if spec.kind == "label"}
    return as_bytes(graph.run({**inputs, **labels})), asked


def class_gaussians(setting: Setting, asked: np.ndarray, components: int) -> tuple[np.ndarray, str]:
    """(N, C, H, W) uint8 of the classes asked for, and what made them; few images have fewer components."""
    train = setting.labelled
    pcas = {label: PcaBaseline(train.images[train.labels == label], components) for label in np.unique(asked)}
    images = np.empty((len(asked), *train.images.shape[1:]), np.uint8)
    for label, pca in pcas.items():
        images[asked == label] = to_bytes(pca.sample(int((asked == label).sum()), setting.seed))
    least = min(pca.components for pca in pcas.values())
    return images, f"a Gaussian on PCA with {least} components for each class"


def can_be_asked(setting: Setting) -> bool:
    """Whether the graph takes a class, and the judge would know it."""
    inputs = setting.artifact.graph("generate").inputs
    return setting.reference.knows_classes and any(spec.kind == "label" for spec in inputs.values())


def of_all_classes(setting: Setting) -> bool:
    """Whether each class that can be asked for was learnt."""
    return learns_all(setting) and can_be_asked(setting)


TASK = Task("control", ("generate",), (accuracy.METRIC,), find, prefix="control_", wanted=of_all_classes)
