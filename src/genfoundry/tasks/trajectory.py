"""A sampler of many steps at work: the shipped loop, left after more and more of its steps."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from genfoundry.export.sealing import sealed
from genfoundry.export.steps import shortened, steps_of
from genfoundry.pictures import to_bytes
from genfoundry.runtime.artifact import ShippedGraph
from genfoundry.tasks import Finding, Picture, Setting, Task

ROWS, COLUMNS = 6, 10  # samples, and places on the way of each


def find(setting: Setting) -> Finding:
    """What the same noise has become after some of the steps, evenly chosen."""
    graph, rng = setting.artifact.graph("generate"), np.random.default_rng(setting.seed)
    inputs = {name: spec.draw(rng, batch=ROWS) for name, spec in graph.inputs.items()}
    model = onnx.load(graph.path)
    after = np.unique(np.linspace(1, steps_of(model), COLUMNS).round().astype(int))
    with TemporaryDirectory() as folder:
        states = [left(model, int(steps), Path(folder)).run(inputs) for steps in after]
    images = np.stack(states, axis=1).reshape(-1, *states[0].shape[1:])
    caption = f"From noise to image: after {', '.join(map(str, after))} steps"
    return Finding(pictures={"trajectory": Picture(to_bytes(images), caption, columns=len(after))})


def left(model: onnx.ModelProto, steps: int, folder: Path) -> ShippedGraph:
    """The shipped graph, stopped after so many steps; its file lies in `folder`."""
    path = folder / f"{steps}.onnx"
    path.write_bytes(sealed(shortened(model, steps)))
    return ShippedGraph.read(path)


def is_a_loop(setting: Setting) -> bool:
    """Whether there are steps to stop between."""
    return steps_of(onnx.load(setting.artifact.graph("generate").path)) > 1


TASK = Task("trajectory", ("generate",), (), find, wanted=is_a_loop)
