"""The loop inside a shipped file: its steps, and the same loop with fewer of them."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

ROWS = "rows/"  # before the names of what differs from step to step


def steps_of(model: onnx.ModelProto) -> int:
    """How many there are in what `scan.loop` wrote; 0 where there is none."""
    return next((row.dims[0] for row in model.graph.initializer if row.name.startswith(ROWS)), 0)


def shortened(model: onnx.ModelProto, steps: int) -> onnx.ModelProto:
    """The same loop, left after so many of its steps."""
    short = onnx.ModelProto()
    short.CopyFrom(model)
    for row in short.graph.initializer:
        if row.name.startswith(ROWS):
            row.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(row)[:steps], row.name))
    return short
