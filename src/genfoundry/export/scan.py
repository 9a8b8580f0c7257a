"""A step done over and over → one ONNX Scan, whose body holds the step's weights once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from genfoundry.contract import Graph, Scan
from genfoundry.export.steps import ROWS
from genfoundry.spec import TensorSpec

STATE, NEXT = "state", "next_state"  # inside the body
LAST = "last_state"  # outside

Trace = Callable[[Graph, int], onnx.ModelProto]


def loop(graph: Graph, scan: Scan, opset: int, trace: Trace) -> onnx.ModelProto:
    """The model of a graph whose module is a `Scan`; `trace` exports its two parts.

    torch's own scan does not export with a dynamic batch, so the parts are joined here.
    """
    (output, made), (first, state), *constants = *graph.outputs.items(), *graph.inputs.items()
    step = trace(step_graph(graph.name, scan, state, dict(constants)), opset)
    after = trace(Graph(graph.name, scan.after, {NEXT: state}, {output: made}), opset)
    around = scanned(step, scan, first, list(graph.inputs))
    joined = compose.merge_models(around, compose.add_prefix(after, "after/"), [(LAST, f"after/{NEXT}")])
    joined.graph.output[0].name = output
    for node in joined.graph.node:
        node.output[:] = [output if name == f"after/{output}" else name for name in node.output]
    return joined


def step_graph(name: str, scan: Scan, state: TensorSpec, constants: dict[str, TensorSpec]) -> Graph:
    """One step as a graph of its own: the state, a scalar of each row, the constants."""
    scalars = {row: TensorSpec((), "uniform", low=0.1, high=0.9) for row in scan.rows}
    return Graph(name, scan.step, {STATE: state, **scalars, **constants}, {NEXT: state})


def scanned(step: onnx.ModelProto, scan: Scan, first: str, inputs: list[str]) -> onnx.ModelProto:
    """The Scan node around a step: constants are seen from outside by their names.

    The weights stay in the body: ONNX Runtime's convolutions on blocked channels, which take 0.6 of the time,
    know only those of their own graph.
    """
    body = onnx.GraphProto()
    body.CopyFrom(step.graph)
    values = {value.name: value for value in body.input}
    outer = [onnx.ValueInfoProto() for _ in inputs]
    for value, name in zip(outer, inputs, strict=True):
        value.CopyFrom(values[STATE if name == first else name])
        value.name = name
    del body.input[:]
    body.input.extend([values[STATE], *(values[row] for row in scan.rows)])
    rows = [
        numpy_helper.from_array(row.cpu().numpy().astype(np.float32), f"{ROWS}{n}") for n, row in scan.rows.items()
    ]
    node = helper.make_node(
        "Scan", [first, *(row.name for row in rows)], [LAST], "scan", body=body, num_scan_inputs=len(rows)
    )
    last = onnx.ValueInfoProto()
    last.CopyFrom(body.output[0])
    last.name = LAST
    around = helper.make_graph([node], "scan", outer, [last], rows)
    return helper.make_model(around, opset_imports=step.opset_import, ir_version=step.ir_version)
