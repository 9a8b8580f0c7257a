"""A run's history as small multiples, and its classes over time; the same files give the same bytes of SVG."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 4
WIDTH, HEIGHT = 2.6, 1.7  # inches of one panel
BLUE, GREY = "#2563eb", "#9ca3af"
STYLE: dict[Any, Any] = {"svg.hashsalt": "genfoundry", "svg.fonttype": "none", "font.size": 8, "axes.titlesize": 8}


@matplotlib.rc_context(STYLE)
def curves(history: Path, rival: Path | None = None) -> str:
    """One panel for each loss and watched quantity of a `step,term,value` file; the rival's, if any, in grey."""
    series, others = read_history(history), read_history(rival) if rival else {}
    rows = math.ceil(len(series) / COLUMNS)
    figure = Figure(figsize=(WIDTH * COLUMNS, HEIGHT * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for panel, (term, points) in zip(panels, sorted(series.items()), strict=False):
        _lines(panel, {GREY: others.get(term, []), BLUE: points})
        panel.set_title(term)
        panel.grid(alpha=0.2)
        _plain(panel)
    for panel in list(figure.axes)[len(series) :]:
        panel.set_visible(False)
    return _svg(figure)


def _lines(panel: Axes, series: Mapping[str, list[tuple[int, float]]]) -> None:
    """A line for each colour; on a logarithmic axis where positive values differ by over a thousand."""
    values = [value for points in series.values() for _, value in points]
    if 0 < 1000 * min(values) < max(values):
        panel.set_yscale("log")
    for colour, points in series.items():
        if points:
            panel.plot(*zip(*points, strict=True), color=colour, linewidth=1.1)


def read_history(history: Path) -> dict[str, list[tuple[int, float]]]:
    """The (step, value) points of each term."""
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with history.open(newline="") as stream:
        for row in csv.DictReader(stream):
            series[row["term"]].append((int(row["step"]), float(row["value"])))
    return dict(series)


def last_step(history: Path) -> int:
    """How long was trained, whatever params.yaml says by now."""
    return max(step for points in read_history(history).values() for step, _ in points)


@matplotlib.rc_context(STYLE)
def classes_over_time(table: Path) -> str:
    """The modes of a `step, modes, class_kl, <share of each class> …` file, and below them its classes, stacked."""
    with table.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    steps, modes, _, *shares = np.array(rows, dtype=float).T
    classes, widths, tops = header[-len(shares) :], np.diff(steps, prepend=0.0), np.cumsum(shares, axis=0)
    figure = Figure(figsize=(WIDTH * COLUMNS, 2 * HEIGHT), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    above.bar(steps, modes, -widths, align="edge", color=BLUE)
    above.set(ylim=(0, len(classes)), yticks=(0, len(classes)), title=header[1])
    for label, share, top, colour in zip(classes, shares, tops, _colours(len(classes)), strict=True):
        below.bar(steps, share, -widths, top - share, align="edge", color=colour, label=label)
    below.set(ylim=(0, 1), yticks=(0, 0.5, 1), xlabel="step", title="share of each class")
    figure.legend(*below.get_legend_handles_labels(), loc="outside right center", frameon=False, reverse=True)
    for panel in (above, below):
        _plain(panel)
    return _svg(figure)


def _colours(count: int) -> np.ndarray:
    return matplotlib.colormaps["tab20" if count <= 20 else "turbo"](np.linspace(0.0, 1.0, count))


def _plain(panel: Axes) -> None:
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)


def _svg(figure: Figure) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :]  # without the XML prologue, which HTML does not take
