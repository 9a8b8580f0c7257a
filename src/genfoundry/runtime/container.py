"""What an ONNX file holds, read without running it, and refused unless it is what genfoundry ships.

A shipped file is sealed: its last bytes are a metadata entry with the SHA-256 of all before them. It is a pure
function of its inputs, made of the operators below; its weights are inside it, and it says of itself what is so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from genfoundry.runtime.wire import Value, WireError, fields, message_of, number_of, numbers, text
from genfoundry.spec import METADATA_KEY, VOCABULARY, DType, Kind, TensorSpec

SEAL_KEY = b"genfoundry.sha256"
SEAL_SIZE = 2 + 2 + len(SEAL_KEY) + 2 + 64
LARGEST = 2**29  # bytes of a file: far beyond any that ships, and well within memory
MOST_FIELDS = 200_000  # of a file's messages; a flow, the largest by far, has 8,000
MOST_ELEMENTS = 2**24  # of one item at an input or output
LONGEST = 2**20  # bytes of what a file says of itself

#: Operators without side effects, whose work the sizes of their inputs bound.
# fmt: off
OPERATORS = frozenset({
    "Abs", "Add", "And", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat",
    "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "DepthToSpace", "DequantizeLinear", "Div",
    "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND",
    "Gelu", "Gemm", "GlobalAveragePool", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid",
    "HardSwish", "Identity", "If", "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu",
    "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mod", "Mul", "Neg", "Not",
    "OneHot", "Or", "PRelu", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL2", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape",
    "Resize", "Round", "Scan", "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin", "Slice",
    "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Swish", "Tan", "Tanh",
    "Tile", "Transpose", "Trilu", "Unsqueeze", "Where",
})
# fmt: on

#: Those with a graph inside, in which there is no other.
CONTROL = frozenset({"If", "Scan"})

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)

#: onnx.TensorProto.DataType → bytes of an element
ITEM_SIZES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
DTYPES = {1: "float32", 7: "int64"}


#: What reading a file raises that is not what it should be.
UNSOUND = (WireError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class ArtifactError(ValueError):
    """A file or an input that does not fit; the message says what to do."""


@dataclass(frozen=True)
class Edge:
    """An input or output as the graph declares it; a dynamic axis is None."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass
class Model:
    """What the walk has found."""

    inputs: dict[str, Edge] = field(default_factory=dict)
    outputs: dict[str, Edge] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    fields_left: int = MOST_FIELDS


@dataclass(frozen=True)
class Container:
    """A file that was found sound: its bytes, what it says of itself, and the tensors at its edges."""

    content: bytes
    about: Mapping[str, Any]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def seal(model: bytes) -> bytes:
    """`model` with its SHA-256 behind it: a message's repeated fields may stand anywhere in it."""
    return model + seal_of(model)


def seal_of(model: bytes | memoryview) -> bytes:
    """The entry of `metadata_props`, field 14, that seals a serialized model."""
    digest = hashlib.sha256(model).hexdigest().encode()
    entry = b"\x0a" + bytes([len(SEAL_KEY)]) + SEAL_KEY + b"\x12" + bytes([len(digest)]) + digest
    return b"\x72" + bytes([len(entry)]) + entry


def read(path: Path) -> Container:
    """The file at `path`, if it is whole, ours and harmless.

    Raises:
        ArtifactError: one line that says what is wrong with it.
    """
    content = unsealed(path)
    try:
        return checked(content)
    except UNSOUND as error:
        words = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ArtifactError(f"{path} is not what genfoundry ships: {printable(words)[:200]}") from None


def unsealed(path: Path) -> bytes:
    """The bytes of a sealed file; one that has no seal is not read to its end.

    Raises:
        ArtifactError: no regular file, too large, without a seal, or of other content than it was sealed with.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is not a file")
    size = path.stat().st_size
    if size > LARGEST:
        raise ArtifactError(f"{path} has {size / 1e9:.1f} GB, more than any file that genfoundry ships")
    with path.open("rb") as stream:
        stream.seek(max(size - SEAL_SIZE, 0))
        if SEAL_KEY not in stream.read(SEAL_SIZE):
            raise ArtifactError(f"{path} was not exported by genfoundry, or its end is missing")
        stream.seek(0)
        content = stream.read(LARGEST)
    model, end = memoryview(content)[:-SEAL_SIZE], content[-SEAL_SIZE:]
    if end != seal_of(model):
        raise ArtifactError(f"{path} is damaged: its bytes are not those that it was sealed with; fetch it again")
    return content


def checked(content: bytes) -> Container:
    """The model in `content`, which has to be what it says.

    Raises:
        UNSOUND: it is not.
    """
    model = Model()
    walk_model(memoryview(content), model)
    about = said(model.metadata)
    sides = {
        side: {name: spec_of(name, entry) for name, entry in about[side].items()} for side in ("inputs", "outputs")
    }
    for specs, edges in ((sides["inputs"], model.inputs), (sides["outputs"], model.outputs)):
        agree(specs, edges)
    for spec in sides["inputs"].values():
        if spec.kind == "label" and "classes" in about and spec.high > len(about["classes"]):
            raise ValueError(f"a label of {spec.high:g} classes, of which {len(about['classes'])} have names")
    return Container(content, about, sides["inputs"], sides["outputs"])


def walk_model(message: memoryview, model: Model) -> None:
    """A ModelProto."""
    graphs = 0
    for number, value in counted(message, model):
        if number == 7:
            graphs += 1
            walk_graph(message_of(value), model, outermost=True)
        elif number == 8:
            check_opset(message_of(value), model)
        elif number == 14:
            key, entry = entry_of(message_of(value), model)
            if key in model.metadata:
                raise ValueError(f"it says {key} twice")
            model.metadata[key] = entry
        elif number not in (1, 2, 3, 4, 5, 6):
            raise ValueError("it holds training code or functions" if number in (20, 25) else f"field {number}")
    if graphs != 1:
        raise ValueError(f"{graphs} graphs")


def walk_graph(message: memoryview, model: Model, outermost: bool) -> None:
    """A GraphProto: nodes, weights and, of the outermost, its edges."""
    for number, value in counted(message, model):
        if number == 1:
            walk_node(message_of(value), model, outermost)
        elif number == 5:
            check_tensor(message_of(value), model)
        elif number in (11, 12) and outermost:
            name, edge = edge_of(message_of(value), model)
            (model.inputs if number == 11 else model.outputs)[name] = edge
        elif number not in (2, 10, 11, 12, 13, 16):
            raise ValueError("sparse or annotated weights" if number in (14, 15) else f"field {number} of a graph")


def walk_node(message: memoryview, model: Model, outermost: bool) -> None:
    """A NodeProto: of a known operator, whose tensors are inside."""
    found = list(counted(message, model))
    operator = next((text(value) for number, value in found if number == 4), "")
    if any(number == 7 and text(value) not in ("", "ai.onnx") for number, value in found):
        raise ValueError(f"{operator} is an operator of some other project")
    if operator not in OPERATORS or (operator in CONTROL and not outermost):
        hint = ": randomness must enter as an input" if operator in RANDOM else ""
        raise ValueError(f"the operator {operator!r} is none that genfoundry ships{hint}")
    for number, value in found:
        if number == 5:
            walk_attribute(message_of(value), model, body=operator in CONTROL)


def walk_attribute(message: memoryview, model: Model, body: bool) -> None:
    """An AttributeProto: numbers, a tensor, or the body of a Scan or an If."""
    for number, value in counted(message, model):
        if number == 5:
            check_tensor(message_of(value), model)
        elif number == 6 and body:
            walk_graph(message_of(value), model, outermost=False)
        elif number in (6, 10, 11, 14, 15, 22, 23):
            raise ValueError("an attribute that holds more than numbers")


def check_tensor(message: memoryview, model: Model) -> None:
    """A TensorProto: its bytes are inside, as many as its shape wants.

    Raises:
        ValueError: they are elsewhere, or more or fewer.
    """
    dims: list[int] = []
    kind, size = 0, None
    for number, value in counted(message, model):
        if number == 1:
            dims += numbers(value)
        elif number == 2:
            kind = number_of(value)
        elif number == 9:
            size = len(message_of(value))
        elif number in (13, 14) and value:
            raise ValueError("weights in another file")
        elif number not in (8, 12, 14, 16):
            raise ValueError(f"weights in an unusual form ({number})")
    if kind not in ITEM_SIZES:
        raise ValueError(f"weights of type {kind}")
    if min(dims, default=0) < 0 or math.prod(dims) * ITEM_SIZES[kind] != (size or 0):
        raise ValueError(f"weights of shape {dims} in {size or 0} bytes")


def check_opset(message: memoryview, model: Model) -> None:
    """An OperatorSetIdProto.

    Raises:
        ValueError: not ONNX's own.
    """
    for number, value in counted(message, model):
        if number == 1 and text(value) not in ("", "ai.onnx"):
            raise ValueError(f"operators of {text(value)!r}")


def edge_of(message: memoryview, model: Model) -> tuple[str, Edge]:
    """A ValueInfoProto of a tensor."""
    name, kind, shape = "", 0, None
    for number, value in counted(message, model):
        if number == 1:
            name = text(value)
        elif number == 2:
            for type_number, tensor in counted(message_of(value), model):
                if type_number != 1:
                    raise ValueError(f"{name} is no tensor")
                for part, inner in counted(message_of(tensor), model):
                    kind, shape = (
                        (number_of(inner), shape) if part == 1 else (kind, dims_of(message_of(inner), model))
                    )
    if kind not in DTYPES or shape is None:
        raise ValueError(f"{name} has type {kind} and {'no' if shape is None else 'a'} shape")
    return name, Edge(DTYPES[kind], shape)


def dims_of(message: memoryview, model: Model) -> tuple[int | None, ...]:
    """A TensorShapeProto."""
    shape: list[int | None] = []
    for number, axis in counted(message, model):
        if number != 1:
            raise ValueError(f"field {number} of a shape")
        sizes = [number_of(value) for part, value in counted(message_of(axis), model) if part == 1]
        shape.append(sizes[-1] if sizes else None)
    return tuple(shape)


def entry_of(message: memoryview, model: Model) -> tuple[str, str]:
    """A StringStringEntryProto."""
    entry = dict(counted(message, model))
    return text(entry[1]), text(entry[2])


def counted(message: memoryview, model: Model) -> list[tuple[int, Value]]:
    """The fields of a message.

    Raises:
        ValueError: the file has more than any that ships.
    """
    found = []
    for entry in fields(message):
        model.fields_left -= 1
        if model.fields_left < 0:
            raise ValueError("it has too many parts")
        found.append(entry)
    return found


def said(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the file says of itself: text and numbers that may be shown.

    Raises:
        ValueError: nothing, or what cannot be shown.
    """
    entry = metadata.get(METADATA_KEY)
    if entry is None:
        raise ValueError("it says nothing of itself")
    if len(entry) > LONGEST:
        raise ValueError("it says too much of itself")
    about = json.loads(entry)
    if not isinstance(about, dict):
        raise ValueError("what it says of itself is no table")
    if not all(words.isprintable() for words in texts(about)):
        raise ValueError("it says what cannot be shown")
    for key, kind in {"graph": str, "inputs": dict, "outputs": dict, "classes": list}.items():
        if key in about and not isinstance(about[key], kind):
            raise ValueError(f"its {key!r} is no {kind.__name__}")
    if not all(isinstance(name, str) for name in about.get("classes", [])):
        raise ValueError("its classes have no names")
    if about["graph"] not in VOCABULARY:
        raise ValueError(f"no graph is called {about['graph']}")
    return about


def texts(tree: Any) -> Iterator[str]:
    """All words in a tree of JSON, keys too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for part in (*tree, *tree.values()) if isinstance(tree, dict) else tree:
            yield from texts(part)


def spec_of(name: str, entry: Mapping[str, Any]) -> TensorSpec:
    """A tensor as the metadata has it.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    try:
        spec = TensorSpec.from_json(entry)
        spec.sizes(**dict.fromkeys(spec.axes, 1))  # "2*height" must be understood
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"what it says of {name} is no tensor") from None
    numbers_ = (spec.low, spec.high) if spec.default is None else (spec.low, spec.high, spec.default)
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers_):
        raise ValueError(f"{name} has a range that is no numbers")
    if spec.kind not in get_args(Kind) or spec.dtype not in get_args(DType):
        raise ValueError(f"{name} is of kind {spec.kind!r} and type {spec.dtype!r}")
    if not all(isinstance(n, str) or (type(n) is int and n > 0) for n in spec.shape):
        raise ValueError(f"{name} has the shape {spec.shape}")
    return spec


def agree(specs: Mapping[str, TensorSpec], edges: Mapping[str, Edge]) -> None:
    """Hold what a file says of its tensors to what its graph declares.

    Raises:
        ValueError: they differ, or one is too large.
    """
    if list(specs) != list(edges):
        raise ValueError(f"it speaks of {', '.join(specs)}, its graph has {', '.join(edges)}")
    for name, spec in specs.items():
        edge = edges[name]
        fixed = tuple(size if isinstance(size, int) else None for size in spec.shape)
        if (edge.dtype, edge.shape) != (spec.dtype, fixed):
            raise ValueError(
                f"{name} is said to be {spec.dtype}{list(fixed)}, it is {edge.dtype}{list(edge.shape)}"
            )
        if math.prod(size or 1 for size in fixed) > MOST_ELEMENTS:
            raise ValueError(f"{name} of {list(fixed)} is larger than any that genfoundry ships")


def printable(words: str) -> str:
    """`words` without what would steer a terminal."""
    return "".join(c for c in words if c.isprintable())
