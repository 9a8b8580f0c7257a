"""How long a shipped graph takes."""

from __future__ import annotations

import statistics
import time

from genfoundry.runtime.artifact import ShippedGraph
from genfoundry.runtime.golden import inputs_of
from genfoundry.runtime.sessions import answer

LEAST, LONGEST = 3, 2.0  # runs, and seconds of them all unless so few take longer


def time_graph(graph: ShippedGraph, batch: int, least: int = LEAST, longest: float = LONGEST) -> float:
    """Median seconds of one call on random inputs, after one that does not count."""
    feed = inputs_of(graph.inputs, batch)
    answer(graph.session, feed, graph.path)
    times: list[float] = []
    while len(times) < least or sum(times) < longest:
        start = time.perf_counter()
        answer(graph.session, feed, graph.path)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
