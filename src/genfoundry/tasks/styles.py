"""What a generator's style does: pictures of truncation and of mixing, and no scores."""

from __future__ import annotations

import numpy as np

from genfoundry.pictures import to_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task

TRUNCATIONS = (0.0, 0.25, 0.5, 0.7, 1.0)  # ψ, a row each
COLUMNS = 10  # images in a row of ψ, or styles that are mixed
SOURCES = 5  # rows of the mixing picture
COARSE = 0.4  # the share of the layers that takes a row's style


def find(setting: Setting) -> Finding:
    """From the shipped file; the same noise wherever two images are to be compared."""
    shown = [f"{psi:g}" for psi in TRUNCATIONS]
    told = "Styles alone at the edge; inside, the coarse layers have the row's style, the finer ones the column's"
    pictures = {
        "truncation": Picture(truncated(setting), f"Truncation ψ, by row: {', '.join(shown)}", columns=COLUMNS),
        "mixing": Picture(mixed(setting), told, columns=COLUMNS + 1),
    }
    return Finding({}, "", {}, pictures)


def truncated(setting: Setting) -> np.ndarray:
    """The same z and noise along each column: (len(TRUNCATIONS) · COLUMNS, C, H, W) uint8."""
    inputs = drawn(setting, COLUMNS)
    rows = [generated(setting, {**inputs, "truncation": np.full(COLUMNS, psi)}) for psi in TRUNCATIONS]
    return np.concatenate(rows)


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


def drawn(setting: Setting, count: int) -> dict[str, np.ndarray]:
    """Inputs of `generate` for that many images."""
    rng = np.random.default_rng(setting.seed)
    return {name: spec.draw(rng, batch=count) for name, spec in setting.artifact.graph("generate").inputs.items()}


def generated(setting: Setting, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """(N, C, H, W) uint8."""
    return to_bytes(setting.artifact.graph("generate").run(inputs))


def has_styles(setting: Setting) -> bool:
    """Whether `generate` takes what these pictures turn."""
    return {"noise", "second", "crossover", "truncation"} <= set(setting.artifact.graph("generate").inputs)


TASK = Task("styles", ("generate",), (), find, wanted=has_styles)
