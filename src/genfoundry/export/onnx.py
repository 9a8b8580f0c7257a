"""One graph → one self-contained, checked, reproducible .onnx file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper

from genfoundry import __version__
from genfoundry.contract import Graph, Scan
from genfoundry.export import scan
from genfoundry.export.sealing import sealed
from genfoundry.files import write_atomic
from genfoundry.runtime.container import UNSOUND, ArtifactError, checked
from genfoundry.runtime.golden import KEY as GOLDEN
from genfoundry.runtime.golden import inputs_of, record

IR_VERSION = 10  # what every opset that we write can do with; ONNX Runtime since 1.18 reads it


class ExportError(RuntimeError):
    """A graph could not be written as the contract says."""


def write(graph: Graph, path: Path, about: Mapping[str, Any], opset: int) -> None:
    """Export `graph` to `path` with its specs and `about` as metadata.

    Raises:
        ExportError: the exporter failed, or an axis that must be dynamic is not.
    """
    module = graph.module
    model = scan.loop(graph, module, opset, trace) if isinstance(module, Scan) else trace(graph, opset)
    strip(model)
    check_axes(graph, model)
    metadata = {
        **about,
        "graph": graph.name,
        "inputs": {name: spec.to_json() for name, spec in graph.inputs.items()},
        "outputs": {name: spec.to_json() for name, spec in graph.outputs.items()},
        "opset": opset,
        "ir_version": IR_VERSION,
        "versions": {
            "genfoundry": __version__,
            "torch": torch.__version__.partition("+")[0],
            "onnx": onnx.__version__,
        },
    }
    write_atomic(path, finished(graph, model, metadata))


def finished(graph: Graph, model: onnx.ModelProto, metadata: Mapping[str, Any]) -> bytes:
    """The bytes of `graph`'s file: checked, with its golden output, sealed.

    Raises:
        ExportError: the model is not valid, or not one that the runtime takes.
    """
    pack(model.graph)
    model.ir_version = IR_VERSION
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        hint = "is an output named like a tensor inside the module?"
        raise ExportError(f"{graph.name}: not a valid ONNX model ({hint}): {error}") from None
    try:
        golden = record(model.SerializeToString(), graph.inputs, list(graph.outputs))
        content = sealed(model, {**metadata, GOLDEN: golden})
        checked(content)
    except (ArtifactError, *UNSOUND) as error:
        raise ExportError(f"{graph.name}: the runtime would not take this file: {error}") from None
    return content


def pack(graph: onnx.GraphProto) -> None:
    """All weights as plain bytes, the one form that the runtime reads, here and in the body of a Scan."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    for tensor in (*graph.initializer, *(a.t for a in attributes if a.HasField("t"))):
        if not tensor.HasField("raw_data"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    for attribute in attributes:
        if attribute.HasField("g"):
            pack(attribute.g)


def trace(graph: Graph, opset: int) -> onnx.ModelProto:
    """torch's exporter, with every named axis dynamic; weights inside the model.

    Raises:
        ExportError: what the exporter said.
    """
    device = next((t.device for t in graph.module.state_dict().values()), torch.device("cpu"))
    examples = tuple(torch.from_numpy(a).to(device) for a in inputs_of(graph.inputs).values())
    axes = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.shape) if isinstance(size, str)}
        for spec in graph.inputs.values()
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.module,
                examples,
                dynamo=True,
                opset_version=opset,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=(axes,) if _variadic(graph.module) else axes,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise ExportError(f"{graph.name}: torch cannot export this module: {error}") from error
    assert program is not None
    return program.model_proto


def strip(model: onnx.ModelProto) -> None:
    """Drop what names the builder's machine: stack traces and module paths in nodes' metadata."""
    _clear(model)
    strip_graph(model.graph)
    for function in model.functions:
        _clear(function, *function.node, *function.value_info)


def strip_graph(graph: onnx.GraphProto) -> None:
    """The same in a graph and in the bodies of its If, Loop and Scan nodes."""
    _clear(graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for body in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            strip_graph(body)


def _clear(*holders: Any) -> None:
    for holder in holders:
        for name in ("doc_string", "metadata_props"):
            if name in holder.DESCRIPTOR.fields_by_name:
                holder.ClearField(name)


def check_axes(graph: Graph, model: onnx.ModelProto) -> None:
    """The file's inputs and outputs have the spec's names, sizes and dynamic axes, named as in the spec.

    Raises:
        ExportError: an axis is fixed that must be dynamic, or a size differs.
    """
    for values, specs in ((model.graph.input, graph.inputs), (model.graph.output, graph.outputs)):
        if [value.name for value in values] != list(specs):
            raise ExportError(f"{graph.name}: the file has {[v.name for v in values]}, the spec {list(specs)}")
        for value, spec in zip(values, specs.values(), strict=True):
            axes = value.type.tensor_type.shape.dim
            sizes = [axis.dim_param or axis.dim_value for axis in axes]
            if len(sizes) != len(spec.shape):
                raise ExportError(f"{graph.name}: {value.name} has {len(sizes)} axes, the spec says {spec.shape}")
            for axis, size, wanted in zip(axes, sizes, spec.shape, strict=True):
                if isinstance(wanted, str) and isinstance(size, int):
                    raise ExportError(f"{graph.name}: axis {wanted!r} of {value.name} became the constant {size}")
                if isinstance(wanted, int) and size != wanted:
                    raise ExportError(f"{graph.name}: {value.name} is {sizes}, the spec says {spec.shape}")
                if isinstance(wanted, str):
                    axis.dim_param = wanted


def _variadic(module: torch.nn.Module) -> bool:
    """Whether `forward` takes `*args`, whose axes the exporter wants as one tuple."""
    import inspect

    kinds = {p.kind for p in inspect.signature(module.forward).parameters.values()}
    return inspect.Parameter.VAR_POSITIONAL in kinds
