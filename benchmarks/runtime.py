"""Shipped generators side by side with torch on this machine: eager, and compiled where a compiler is to be had.

    PYTHONPATH=src .venv/bin/python benchmarks/runtime.py [RUN ...] [--no-compile]

Needs `models/` and `dist/` of a `make repro`. The contenders take turns, so that a drifting machine slows all, and
rest in between, because ONNX Runtime's threads go on spinning for a while. The rounds of a run are spread over
passes minutes apart and the fastest counts, of each contender alike: a virtual machine's second core is at times
another's. Two more columns ask what a file could lose: its time beside that with random weights (trained ones may
hold numbers near zero, which are slow), and where it holds a loop, beside the same steps driven from outside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper

from genfoundry.contract import Graph, Scan
from genfoundry.data.batches import Prepared
from genfoundry.data.supply import seen
from genfoundry.export.onnx import trace
from genfoundry.export.scan import STATE, step_graph
from genfoundry.export.stage import trained
from genfoundry.files import read_json
from genfoundry.params import Data, load, validate
from genfoundry.progress import progress
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.golden import inputs_of
from genfoundry.training.runtime import evaluating

BATCHES = (1, 64)
PASSES, ROUNDS, LEAST_S, REST_S = 3, 3, 0.2, 0.05
Contenders = Mapping[str, Callable[[], object]]


def graph_of(run: str) -> Graph:
    """The torch module whose export ships as the run's `generate`."""
    about = read_json(Path("models") / run / "run.json")
    data = seen(Prepared(Path("data/prepared") / about["data"]["dataset"]).spec, validate(Data, about["data"]))
    return next(graph for graph in trained(run, about, data).graphs() if graph.name == "generate")


def fastest(contenders: Contenders) -> dict[str, float]:
    """Seconds of one call each: of rounds in which they take turns, the fastest."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            time.sleep(REST_S)
            work()  # caches and threads are its own again
            start, calls = time.perf_counter(), 0
            while time.perf_counter() - start < LEAST_S:
                work()
                calls += 1
            times[name].append((time.perf_counter() - start) / calls)
    return {name: min(values) for name, values in times.items()}


def contenders(run: str, graph: Graph, batch: int, compiled: Callable[..., object] | None) -> dict[str, Callable]:
    """The file as it ships, torch as it is, and torch compiled."""
    feed = inputs_of(graph.inputs, batch)
    tensors = tuple(torch.from_numpy(value) for value in feed.values())
    session = Artifact.load(Path("dist") / run).graph("generate").session

    def inferred(module: Callable[..., object]) -> Callable[[], object]:
        def work() -> object:
            with torch.inference_mode():
                return module(*tensors)

        return work

    found = {"shipped": lambda: session.run(None, feed), "eager": inferred(graph.module)}
    return {**found, **({} if compiled is None else {"compiled": inferred(compiled)})}


def randomised(path: Path) -> ort.InferenceSession:
    """The file with random weights of the same scale."""
    model, rng = onnx.load(path), np.random.default_rng(0)
    for tensor in weights_of(model.graph):
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > 64:
            scale = float(array.std()) or 1.0
            fresh = (scale * rng.standard_normal(array.shape)).astype(np.float32)
            fresh = np.abs(fresh) if (array >= 0).all() else fresh  # a variance stays one
            tensor.CopyFrom(numpy_helper.from_array(fresh, tensor.name))
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def weights_of(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Also of a loop's body."""
    bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [*graph.initializer, *(tensor for body in bodies for tensor in weights_of(body))]


def driven(graph: Graph, batch: int) -> Callable[[], object]:
    """The loop's steps, each a call of a session: what the loop inside the file must not cost more than."""
    scan = graph.module
    assert isinstance(scan, Scan)
    (first, state), *constants = graph.inputs.items()
    feed = inputs_of(graph.inputs, batch)
    step = trace(step_graph("generate", scan, state, dict(constants)), load().export.opset)
    session = ort.InferenceSession(step.SerializeToString(), providers=["CPUExecutionProvider"])
    fixed = {name: feed[name] for name, _ in constants}
    rows = [
        {name: np.array(value) for name, value in zip(scan.rows, values, strict=True)}
        for values in zip(*(row.cpu().numpy().astype(np.float32) for row in scan.rows.values()), strict=True)
    ]

    def work() -> object:
        value = feed[first]
        for row in rows:
            (value,) = session.run(None, {STATE: value, **row, **fixed})
        return value

    return work


def compiled_of(module: torch.nn.Module) -> Callable[..., object]:
    """torch.compile's form of a module; of a loop, its step's, for unrolled it is compiled for minutes."""
    torch.compiler.reset()  # each run has all its recompilations
    if isinstance(module, Scan):
        return Scan(torch.compile(module.step), module.rows, module.after)
    return torch.compile(module)


def measure(run: str, compile_too: bool) -> Iterator[tuple[int, dict[str, float]]]:
    """Seconds of a run's contenders, by batch."""
    graph = graph_of(run)
    with evaluating(graph.module):
        compiled = compiled_of(graph.module) if compile_too else None
        for batch in BATCHES:
            entrants = contenders(run, graph, batch, compiled)
            feed, other = inputs_of(graph.inputs, batch), randomised(Path("dist") / run / "generate.onnx")
            entrants["random"] = lambda other=other, feed=feed: other.run(None, feed)
            if isinstance(graph.module, Scan):
                entrants["driven"] = driven(graph, batch)
            yield batch, fastest(entrants)


def row(run: str, batch: int, seconds: Mapping[str, float]) -> str:
    """One line of the table."""
    shipped = seconds["shipped"]
    best = min(seconds[name] for name in ("eager", "compiled") if name in seconds)
    cells = [f"{seconds[name] * 1e3:.2f}" if name in seconds else "–" for name in ("shipped", "eager", "compiled")]
    ratios = [f"{seconds['eager'] / shipped:.2f}", f"{best / shipped:.2f}", f"{shipped / seconds['random']:.2f}"]
    ratios.append(f"{shipped / seconds['driven']:.2f}" if "driven" in seconds else "–")
    return f"| `{run}` | {batch} | " + " | ".join(cells + ratios) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    shipping = [run for run in load().runs if (Path("dist") / run / "generate.onnx").exists()]
    times: dict[tuple[str, int], list[dict[str, float]]] = {}
    turns = (options.runs or shipping) * PASSES
    for run in progress(turns, "benchmark", total=len(turns), unit="run"):
        for batch, seconds in measure(run, not options.no_compile):
            times.setdefault((run, batch), []).append(seconds)
    print(f"{torch.get_num_threads()} threads; milliseconds a batch, the fastest of {PASSES} passes\n")
    ratios = "eager ÷ shipped | better ÷ shipped | trained ÷ random | inside ÷ outside"
    print(f"| run | batch | shipped | eager | compiled | {ratios} |\n|{'---|' * 9}")
    for (run, batch), passes in times.items():
        print(row(run, batch, {name: min(seconds[name] for seconds in passes) for name in passes[0]}))


if __name__ == "__main__":
    main()
