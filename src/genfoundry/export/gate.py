"""The parity gate: a file ships only if ONNX Runtime gives what torch gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from genfoundry.contract import Graph
from genfoundry.params import Gate
from genfoundry.pictures import to_bytes
from genfoundry.runtime.golden import draw
from genfoundry.runtime.sessions import allowed
from genfoundry.spec import BATCH
from genfoundry.training.runtime import evaluating

Arrays = dict[str, np.ndarray]
LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
IN_USE = "all"
IMAGE_SLACK = 1e-6  # a rounding error beyond [0, 1] is not a wrong image


class GateError(RuntimeError):
    """A file that must not ship; the message has the figures, `failures` the lines of them."""

    def __init__(self, message: str, failures: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.failures = failures


@dataclass(frozen=True)
class Margin:
    """The worst that was seen over all batches, seeds and optimisation levels; of flips, the overall share."""

    max_abs: float = 0.0
    mean_abs: float = 0.0
    flips: float = 0.0  # share of pixels whose uint8 value differs; one pixel of a batch of 1 proves nothing
    spread: float = float("inf")  # the least standard deviation over a batch; of a value, beside its magnitude
    coupling: float = 0.0  # what a sample's output changes by with its neighbours in the batch
    noise: float = 0.0  # what an output changes by when the same input is run again

    def worse(self, other: Margin) -> Margin:
        """The worst of both, figure by figure."""
        merged = {name: max(value, getattr(other, name)) for name, value in asdict(self).items()}
        return Margin(**{**merged, "spread": min(self.spread, other.spread)})


@dataclass
class Tally:
    """What the comparisons have shown so far."""

    margin: Margin = Margin()
    failures: list[str] = field(default_factory=list)
    flipped: int = 0
    pixels: int = 0

    def compare(
        self, graph: Graph, runner: ort.InferenceSession, inputs: Arrays, expected: Arrays, where: str, probe: bool
    ) -> None:
        """One batch through one session; with `probe` also again, and its first item alone."""
        try:
            got = run_file(graph, runner, inputs)
            again = run_file(graph, runner, inputs) if probe else got
            first = {name: value[:1] for name, value in inputs.items()}
            alone = run_file(graph, runner, first) if probe else {name: value[:1] for name, value in got.items()}
        except Exception as error:  # ONNX Runtime's own, of many types
            self.failures.append(f"{where}: {' '.join(str(error).split())[:200]}")
            return
        for name, spec in graph.outputs.items():
            wrong = list(broken(got[name], expected[name], spec.kind))
            self.failures += [f"{name}, {where}: {what}" for what in wrong]
            if not wrong:
                found = measure(got[name], expected[name], again[name], alone[name], spec.kind)
                self.margin = self.margin.worse(found)
                if spec.kind == "image":
                    self.flipped += int((to_bytes(got[name]) != to_bytes(expected[name])).sum())
                    self.pixels += got[name].size

    def total(self) -> Margin:
        """The worst figures, with the share of flipped pixels over all comparisons."""
        return replace(self.margin, flips=self.flipped / self.pixels if self.pixels else 0.0)


def check(graph: Graph, path: Path, gate: Gate) -> Margin:
    """Compare the file at `path` with the graph's module, as users run it: optimised.

    What does not depend on the seed is asked of the first one alone: the file without ONNX Runtime's optimisations,
    the same input again, an item without its batch.

    Raises:
        GateError: one line for each way in which it fails, with the figure and the limit.
    """
    tally = Tally()
    sessions = {level: session(path, option) for level, option in LEVELS.items()}
    for seed, sizes in cases(gate, graph.axes):
        rng = np.random.default_rng([seed, *sizes.values()])
        inputs = {name: draw(spec, rng, **sizes) for name, spec in graph.inputs.items()}
        expected = run_torch(graph, inputs)
        where = ", ".join(f"{axis} {size}" for axis, size in sizes.items()) + f", seed {seed}"
        tally.failures += [f"{what}, {where}" for what in misshapen(graph, expected, sizes)]
        for level in LEVELS if seed == 0 else (IN_USE,):
            where_at = f"{where}, optimisation {level}"
            tally.compare(graph, sessions[level], inputs, expected, where_at, probe=seed == 0)
    margin = tally.total()
    failures = [*tally.failures, *exceeded(margin, gate)]
    if failures:
        shown = "\n  ".join(failures[:8])
        raise GateError(
            f"{path}: ONNX Runtime does not reproduce {graph.name!r}; it does not ship\n  {shown}", failures
        )
    return margin


def cases(gate: Gate, axes: tuple[str, ...]) -> Iterator[tuple[int, dict[str, int]]]:
    """Seeds, and sizes of the dynamic axes: each batch with each turn of the other axes through `gate.sizes`."""
    others = [axis for axis in axes if axis != BATCH]
    turns = range(len(gate.sizes) if others else 1)
    for seed, batch, turn in product(range(gate.seeds), gate.batches, turns):
        chosen = {axis: gate.sizes[(turn + i) % len(gate.sizes)] for i, axis in enumerate(others)}
        yield seed, {BATCH: batch, **chosen}


def misshapen(graph: Graph, outputs: Arrays, sizes: dict[str, int]) -> Iterator[str]:
    """A line for each output that is not as large as its spec says."""
    for name, spec in graph.outputs.items():
        if outputs[name].shape != spec.sizes(**sizes):
            yield f"{name}: torch gives {list(outputs[name].shape)}, the spec says {list(spec.shape)}"


def session(path: Path, level: ort.GraphOptimizationLevel) -> ort.InferenceSession:
    """A CPU session whose threads do not spin beside torch's."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = allowed()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_file(graph: Graph, runner: ort.InferenceSession, inputs: Arrays) -> Arrays:
    """The exported file's answer."""
    return dict(zip(graph.outputs, runner.run(None, inputs), strict=True))


@torch.no_grad()
def run_torch(graph: Graph, inputs: Arrays) -> Arrays:
    """The module's own answer, in evaluation mode."""
    device = next((t.device for t in graph.module.state_dict().values()), torch.device("cpu"))
    with evaluating(graph.module):
        outputs = graph.module(*(torch.from_numpy(value).to(device) for value in inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {name: value.cpu().numpy() for name, value in zip(graph.outputs, outputs, strict=True)}


def broken(got: np.ndarray, expected: np.ndarray, kind: str) -> Iterator[str]:
    """What is wrong with one output whatever the limits are."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        yield f"{got.dtype}{list(got.shape)}, torch gives {expected.dtype}{list(expected.shape)}"
    if not np.isfinite(expected).all():
        yield "torch's own answer is not finite"
    if not np.isfinite(got).all():
        yield "not finite"
    elif kind == "image" and (got.min() < -IMAGE_SLACK or got.max() > 1 + IMAGE_SLACK):
        yield f"leaves [0, 1]: {got.min():.4g} to {got.max():.4g}"


def measure(got: np.ndarray, expected: np.ndarray, again: np.ndarray, alone: np.ndarray, kind: str) -> Margin:
    """The figures of one output; errors of a value in units of `magnitude`."""
    unit = np.ones(1) if kind == "image" else magnitude(expected)
    error = np.abs(got.astype(np.float64) - expected) / unit
    scale = 1.0 if kind == "image" else max(float(np.abs(got).max()), float(np.finfo(np.float32).tiny))
    return Margin(
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        spread=float(got.std(axis=0).max() / scale) if len(got) > 1 else float("inf"),
        coupling=float((np.abs(got[:1] - alone) / unit[:1]).max()),
        noise=float(np.abs(got - again).max()),
    )


def magnitude(values: np.ndarray) -> np.ndarray:
    """(N, ...) → (N, 1, ...): the largest of each sample, at least 1; float32 rounds in units of it."""
    largest = np.abs(values.astype(np.float64)).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.maximum(largest, 1.0)


def exceeded(margin: Margin, gate: Gate) -> Iterator[str]:
    """A line for each limit that the worst figures break."""
    for name in ("max_abs", "mean_abs", "flips"):
        value, limit = getattr(margin, name), getattr(gate, name)
        if not value <= limit:
            yield f"{name} {value:.3g} is over {limit:.3g}"
    if margin.spread < gate.min_spread:
        yield f"the output does not depend on the input (spread {margin.spread:.3g} under {gate.min_spread:.3g})"
    if margin.coupling > gate.max_abs:
        yield f"an image depends on its neighbours in the batch by {margin.coupling:.3g}: is BatchNorm training?"
    if margin.noise > 0.0:
        yield f"the same input gives outputs {margin.noise:.3g} apart: randomness must enter as an input"
