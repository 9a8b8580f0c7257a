"""A run's history as small multiples, in SVG that is the same bytes for the same history."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

COLUMNS = 4
WIDTH, HEIGHT = 2.6, 1.7  # inches of one panel


def read_history(history: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each loss and watched quantity of a `step,term,value` file."""
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with history.open(newline="") as stream:
        for row in csv.DictReader(stream):
            series[row["term"]].append((int(row["step"]), float(row["value"])))
    return dict(series)


def curves(history: Path) -> str:
    """One panel for each of them."""
    series = read_history(history)
    rows = math.ceil(len(series) / COLUMNS)
    with matplotlib.rc_context({"svg.hashsalt": "genfoundry", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(WIDTH * COLUMNS, HEIGHT * rows), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
        for panel, (term, points) in zip(panels, sorted(series.items()), strict=False):
            panel.plot(*zip(*points, strict=True), color="#2563eb", linewidth=1.1)
            panel.set_title(term, fontsize=8)
            panel.tick_params(labelsize=7)
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(alpha=0.2)
        for panel in list(figure.axes)[len(series) :]:
            panel.set_visible(False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :]  # without the XML prologue, which HTML does not take
