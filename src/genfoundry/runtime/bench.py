"""How long a shipped graph takes."""

from __future__ import annotations

import statistics
import time

import numpy as np

from genfoundry.runtime.artifact import ShippedGraph
from genfoundry.runtime.golden import draw, example_sizes
from genfoundry.runtime.sessions import answer
from genfoundry.spec import BATCH

LEAST, LONGEST = 3, 2.0  # runs, and seconds of them all unless so few take longer


def time_graph(graph: ShippedGraph, batch: int) -> float:
    """Median seconds of one call on random inputs, after one that does not count."""
    rng = np.random.default_rng(0)
    axes = list(dict.fromkeys(axis for spec in graph.inputs.values() for axis in spec.axes))
    sizes = {**example_sizes(axes), BATCH: batch}
    feed = {name: draw(spec, rng, **sizes) for name, spec in graph.inputs.items()}
    answer(graph.session, feed, graph.path)
    times: list[float] = []
    while len(times) < LEAST or sum(times) < LONGEST:
        start = time.perf_counter()
        answer(graph.session, feed, graph.path)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
