"""Charts as pictures, for evidence that is not an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genfoundry.tasks import Picture

WIDTH, HEIGHT = 7.0, 3.5  # inches, of 100 pixels: as wide as the gallery shows a wide picture

Points = Sequence[tuple[float, float]]


def scatter(panels: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], caption: str) -> Picture:
    """Points (N, 2) of each panel, coloured by their classes (N,)."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    for axes, (title, points) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for number, name in enumerate(classes):
            x, y = points[labels == number].T
            axes.scatter(x, y, s=2, linewidths=0, color=f"C{number}" if len(classes) <= 10 else None, label=name)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=7, markerscale=4)
    return drawn(figure, caption)


def lines(series: Mapping[str, Points], x: str, y: str, caption: str) -> Picture:
    """One line for each series of points, over a logarithmic x."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    for name, points in series.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1.1, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=8)
    return drawn(figure, caption)


def drawn(figure: Figure, caption: str) -> Picture:
    """A figure as the one image of a wide picture, (1, 3, height, width)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return Picture(pixels.transpose(2, 0, 1)[None], caption, columns=1)
