"""What a generator's styles do: a picture of their mixing, and no scores."""

from __future__ import annotations

import numpy as np

from genfoundry.tasks import Finding, Picture, Setting, Task
from genfoundry.tasks.turned import drawn, generated

COLUMNS = 10
SOURCES = 5  # rows
COARSE = 0.4  # the share of the layers that takes a row's style


def find(setting: Setting) -> Finding:
    """From the shipped file; the same noise wherever two images are to be compared."""
    told = "Styles alone at the edge; inside, the coarse layers have the row's style, the finer ones the column's"
    return Finding(pictures={"mixing": Picture(mixed(setting), told, columns=COLUMNS + 1)})


def mixed(setting: Setting) -> np.ndarray:
    """((SOURCES + 1) · (COLUMNS + 1), C, H, W) uint8; the corner is empty."""
    inputs, count = drawn(setting, SOURCES + COLUMNS), SOURCES * COLUMNS
    alone = generated(setting, inputs)
    row = np.repeat(np.arange(SOURCES), COLUMNS)
    column = SOURCES + np.tile(np.arange(COLUMNS), SOURCES)
    pairs = {name: value[row] for name, value in inputs.items()}
    asked = {"second": inputs["noise"][column], "crossover": np.full(count, COARSE)}
    inside = generated(setting, {**pairs, **asked})
    cells = np.full((SOURCES + 1, COLUMNS + 1, *alone.shape[1:]), 255, np.uint8)
    cells[0, 1:], cells[1:, 0] = alone[SOURCES:], alone[:SOURCES]
    cells[1:, 1:] = inside.reshape(SOURCES, COLUMNS, *alone.shape[1:])
    return cells.reshape(-1, *alone.shape[1:])


def has_styles(setting: Setting) -> bool:
    """Whether `generate` takes what these pictures turn."""
    return {"noise", "second", "crossover"} <= set(setting.artifact.graph("generate").inputs)


TASK = Task("styles", ("generate",), (), find, wanted=has_styles)
