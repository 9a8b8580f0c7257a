"""A shipped file in fewer bytes: its weights as float16, or weights and activations as int8."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from genfoundry.contract import Graph
from genfoundry.export.gate import GateError, check
from genfoundry.export.onnx import ExportError, check_axes, finished, strip
from genfoundry.export.steps import ROWS
from genfoundry.files import write_atomic
from genfoundry.params import Export, VariantName
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.container import CONTROL
from genfoundry.runtime.golden import SEED, VARIANT, draw
from genfoundry.spec import METADATA_KEY, VOCABULARY

Arrays = dict[str, np.ndarray]

STORED = "/float16"  # behind a weight's name
SMALLEST = 64  # numbers in a weight: a Cast costs the bytes that fewer would save
QUANTIZED = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def write_all(
    graphs: Sequence[Graph], folder: Path, calibration: Calibration, config: Export
) -> dict[VariantName, dict[str, Any]]:
    """Write `folder/<variant>/<graph>.onnx` from `folder/<graph>.onnx`.

    Of each variant the margins of the graphs that pass its gate, and why the others are refused.
    """
    found: dict[VariantName, dict[str, Any]] = {}
    for variant, limits in config.variants.items():
        own = {"seeds": 1, "flips": 1.0, "max_abs": limits.max_abs, "mean_abs": limits.mean_abs}
        strict, margins, refused = config.gate.model_copy(update=own), {}, {}
        for graph in graphs:
            path = folder / variant / f"{graph.name}.onnx"
            try:
                write(graph, folder / path.name, path, variant, calibration.inputs(graph.name))
                margins[graph.name] = asdict(check(graph, path, strict))
            except ExportError as error:
                refused[graph.name] = str(error)
            except GateError as error:
                path.unlink()
                refused[graph.name] = error.failures[0]
        found[variant] = {"margins": margins, "refused": refused}
    return found


def write(graph: Graph, source: Path, target: Path, variant: VariantName, inputs: Arrays) -> None:
    """Write the file at `source` to `target` in another form; `inputs` are what it will be given in use.

    Raises:
        ExportError: the graph has no such form.
    """
    model = onnx.load(source)
    about = json.loads(next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY))
    small = FORMS[variant](model, inputs)
    strip(small)
    check_axes(graph, small)
    write_atomic(target, finished(graph, small, {**about, VARIANT: variant}))


def halved(model: onnx.ModelProto, inputs: Arrays) -> onnx.ModelProto:
    """Weights as float16, which a Cast makes float32 again where they are used.

    ONNX Runtime does so once, when a session starts: half the bytes at no cost in time. Its CPU kernels for float16
    are few, and slower.
    """
    halve(model.graph)
    return model


def halve(graph: onnx.GraphProto) -> None:
    """In place, in the bodies of its nodes too; what a loop counts its steps with stays."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= SMALLEST and not tensor.name.startswith(ROWS):
            name = tensor.name
            if np.abs(values).max() > np.finfo(np.float16).max:
                raise ExportError(f"{name} holds numbers beyond float16")
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + STORED))
            casts.append(onnx.helper.make_node("Cast", [name + STORED], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.HasField("g"):
            halve(attribute.g)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def quantized(model: onnx.ModelProto, inputs: Arrays) -> onnx.ModelProto:
    """Convolutions and matrix products of int8, each channel of a weight and each activation on a scale of its own.

    Static, calibrated on `inputs`: the largest activations seen are the largest there are (Jacob et al. 2018).
    Weights of 7 bits, because sums of pairs of products overflow 16 bits on machines without VNNI, and a file must
    give the same everywhere.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    if any(node.op_type in CONTROL for node in model.graph.node):
        raise ExportError("activations inside a loop are out of the calibration's sight")
    if not any(node.op_type in QUANTIZED for node in model.graph.node):
        raise ExportError(f"it has no {', '.join(QUANTIZED[:-1])} or {QUANTIZED[-1]}")

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([inputs])

        def get_next(self) -> Arrays | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                path,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except Exception as error:  # its own, of many types
            raise ExportError(f"it cannot be quantised: {' '.join(str(error).split())[:200]}") from None
        found = onnx.load(path)
    del found.graph.value_info[:]  # of tensors inside, as the quantiser believes
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Without the quantiser's advice, which it gives to the root logger."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)


FORMS: Mapping[VariantName, Callable[[onnx.ModelProto, Arrays], onnx.ModelProto]] = {
    "fp16": halved,
    "int8": quantized,
}


class Calibration:
    """What the graphs of a run are given in use: a training batch, codes of its images, noise."""

    def __init__(self, artifact: Artifact, batch: Mapping[str, np.ndarray]) -> None:
        self._artifact = artifact
        self._batch = {key: from_bytes(value) if value.dtype == np.uint8 else value for key, value in batch.items()}

    def inputs(self, name: str) -> Arrays:
        """Of one graph, by the names of its inputs."""
        graph, rng = self._artifact.graph(name), np.random.default_rng(SEED)
        images = next(self._batch[key] for key in (*VOCABULARY[name].takes, *self._batch) if key in self._batch)
        found: Arrays = {}
        for key, spec in graph.inputs.items():
            if spec.kind == "image":
                found[key] = images
            elif spec.kind == "value" and "encode" in self._artifact:
                found[key] = self.codes()[key]
            else:
                found[key] = self._batch[key] if key in self._batch else draw(spec, rng, batch=len(images))
        return found

    def codes(self) -> Arrays:
        """What `encode` makes of the images, by the names that `decode` takes them by."""
        graph = self._artifact.graph("encode")
        answer = graph.run(self.inputs("encode"))
        return answer if isinstance(answer, dict) else {next(iter(graph.outputs)): answer}
