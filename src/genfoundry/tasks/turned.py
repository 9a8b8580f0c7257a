"""What the inputs of a generator do that a user may turn but need not: pictures, and no scores."""

from __future__ import annotations

import numpy as np

from genfoundry.pictures import to_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task

VALUES = (0.0, 0.25, 0.5, 0.7, 1.0)  # a row each
COLUMNS = 10


def find(setting: Setting) -> Finding:
    """From the shipped file, a picture for each such input: StyleGAN's truncation, a flow's temperature."""
    shown = ", ".join(f"{value:g}" for value in VALUES)
    pictures = {
        name: Picture(turned(setting, name), f"{name.capitalize()}, by row: {shown}", columns=COLUMNS)
        for name in turnable(setting)
    }
    return Finding(pictures=pictures)


def turnable(setting: Setting) -> list[str]:
    """Inputs that have a default."""
    inputs = setting.artifact.graph("generate").inputs
    return [name for name, spec in inputs.items() if spec.default is not None]


def turned(setting: Setting, name: str) -> np.ndarray:
    """The same noise along each column: (len(VALUES) · COLUMNS, C, H, W) uint8."""
    inputs = drawn(setting, COLUMNS)
    return np.concatenate([generated(setting, {**inputs, name: np.full(COLUMNS, value)}) for value in VALUES])


def drawn(setting: Setting, count: int) -> dict[str, np.ndarray]:
    """Inputs of `generate` for that many images."""
    rng = np.random.default_rng(setting.seed)
    return {name: spec.draw(rng, batch=count) for name, spec in setting.artifact.graph("generate").inputs.items()}


def generated(setting: Setting, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """(N, C, H, W) uint8."""
    return to_bytes(setting.artifact.graph("generate").run(inputs))


TASK = Task("turned", ("generate",), (), find, wanted=lambda setting: bool(turnable(setting)))
