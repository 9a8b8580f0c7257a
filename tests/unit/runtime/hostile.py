"""Files that a stranger might send: each is one that no command may take."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, load_from_string, numpy_helper

from genfoundry.runtime.container import SEAL_SIZE, seal
from genfoundry.spec import METADATA_KEY

NAME = "generate.onnx"
Change = Callable[[ModelProto], Any]


def corpus(sound: bytes, root: Path) -> dict[str, Path]:
    """A folder for each case, with the file `NAME` in it."""
    made = {}
    for case, write in cases(sound):
        folder = root / case
        folder.mkdir(parents=True)
        write(folder / NAME)
        made[case] = folder
    return made


def cases(sound: bytes) -> Iterator[tuple[str, Callable[[Path], Any]]]:
    for case, content in broken(sound):
        yield case, lambda path, content=content: path.write_bytes(content)
    yield "a_pipe", lambda path: os.mkfifo(path)
    yield "a_folder", lambda path: path.mkdir()
    yield "a_link_to_nothing", lambda path: path.symlink_to("nowhere.onnx")
    yield "far_too_large", lambda path: sparse_file(path, 2**36)
    yield "large_and_empty_but_for_its_end", lambda path: sparse_file(path, 2**27, sound[-SEAL_SIZE:])
    for case, change in changes().items():
        yield case, lambda path, change=change: path.write_bytes(changed(sound, change))
    for case, say in lies().items():
        yield case, lambda path, say=say: path.write_bytes(changed(sound, lambda model: retold(model, say)))
    for case, place in {
        "path": "../secret.bin",
        "symlink": "link.bin",
        "hard_link": "hard.bin",
        "gone": "no",
    }.items():
        yield f"weights_by_{case}", lambda path, place=place: with_external_data(sound, path, place)


def broken(sound: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that never were a file of ours, or are one no more."""
    for place in np.linspace(0, len(sound) - 1, 16).astype(int):
        flipped = bytearray(sound)
        flipped[place] ^= 0x10
        yield f"byte_{place}_flipped", bytes(flipped)
    for size in (0, 1, len(sound) // 2, len(sound) - SEAL_SIZE, len(sound) - 1):
        yield f"cut_after_{size}", sound[:size]
    yield "a_byte_more", sound + b"\0"
    yield "twice", sound + sound
    yield "text", b"this is no model\n"
    yield "a_picture", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "of_another_project", foreign().SerializeToString()
    yield "of_another_project_sealed", seal(foreign().SerializeToString())
    yield "noise_sealed", seal(np.random.default_rng(0).bytes(1000))
    yield "nothing_sealed", seal(b"")
    yield "an_endless_number_sealed", seal(b"\xff" * 1000)
    yield "crowded_sealed", seal(b"\x08\x0a" * 3_000_000)


def changes() -> Mapping[str, Change]:
    """To a sound model; it is sealed again afterwards."""
    return {
        "custom_operator": lambda m: m.graph.node.add(op_type="Evil", domain="com.evil", input=["x"], output=["y"]),
        "custom_domain": lambda m: m.opset_import.add(domain="com.evil", version=1),
        "unknown_operator": lambda m: m.graph.node.add(op_type="Shell", input=["noise"], output=["y"]),
        "endless_loop": lambda m: m.graph.node.append(loop()),
        "long_scan": lambda m: m.graph.node.append(scan(m)),
        "random": lambda m: m.graph.node.add(op_type="RandomNormalLike", input=["noise"], output=["y"]),
        "a_function": lambda m: m.functions.add(name="f", domain="d"),
        "training_code": lambda m: m.training_info.add(),
        "sparse_weights": lambda m: m.graph.sparse_initializer.add(),
        "text_as_weights": lambda m: m.graph.initializer.add(
            name="t", data_type=TensorProto.STRING, string_data=[b"x"]
        ),
        "weights_of_no_type": lambda m: m.graph.initializer.add(name="t", data_type=99, raw_data=b"1"),
        "weights_without_bytes": lambda m: m.graph.initializer.add(name="t", data_type=1, dims=[2**40]),
        "weights_with_too_few": lambda m: m.graph.initializer.add(
            name="t", data_type=1, dims=[4], raw_data=b"1234"
        ),
        "weights_below_zero": lambda m: m.graph.initializer.add(
            name="t", data_type=1, dims=[-1, -1], raw_data=b"1234"
        ),
        "other_weights": other_weights,
        "memory_bomb": lambda m: bomb(m, [2**17, 2**17]),
        "memory_bomb_beyond_numbers": lambda m: bomb(m, [2**40, 2**22]),
        "no_graph": lambda m: m.ClearField("graph"),
        "no_nodes": lambda m: m.graph.ClearField("node"),
        "an_input_more": lambda m: m.graph.input.add().CopyFrom(helper.make_tensor_value_info("z", 1, ["batch"])),
        "an_output_less": lambda m: m.graph.ClearField("output"),
        "an_input_without_shape": lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "a_sequence": lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.__setattr__(
            "elem_type", 1
        ),
        "a_fixed_batch": lambda m: m.graph.input[0].type.tensor_type.shape.dim[0].__setattr__("dim_value", 7),
        "huge_noise": huge_noise,
        "says_nothing": lambda m: m.ClearField("metadata_props"),
        "says_it_twice": lambda m: m.metadata_props.add(key=METADATA_KEY, value="{}"),
        "no_json": lambda m: said(m, "{"),
        "a_list": lambda m: said(m, "[]"),
        "deep_json": lambda m: said(m, "[" * 200_000),
        "long_json": lambda m: said(m, json.dumps({"run": "x" * 2**21})),
    }


def lies() -> Mapping[str, Callable[[dict[str, Any]], Any]]:
    """About a sound model."""
    return {
        "no_inputs_named": lambda about: about.pop("inputs"),
        "other_inputs": lambda about: about["inputs"].update(z=about["inputs"].pop("noise")),
        "other_shape": lambda about: about["inputs"]["noise"].update(shape=["batch", 4]),
        "huge_shape": lambda about: about["outputs"]["image"].update(shape=["batch", 1, 2**40, 2**40]),
        "shape_in_words": lambda about: about["inputs"]["noise"].update(shape=["batch", "x*height"]),
        "no_shape": lambda about: about["inputs"]["noise"].update(shape=None),
        "other_type": lambda about: about["inputs"]["noise"].update(dtype="int64"),
        "unknown_kind": lambda about: about["inputs"]["noise"].update(kind="code"),
        "no_range": lambda about: about["inputs"]["noise"].update(high=float("inf")),
        "a_range_in_words": lambda about: about["inputs"]["noise"].update(low="0"),
        "more_than_a_spec": lambda about: about["inputs"]["noise"].update(run="rm"),
        "steers_the_terminal": lambda about: about.update(run="\x1b[2J"),
        "classes_are_numbers": lambda about: about.update(classes=[1, 2]),
        "classes_are_a_word": lambda about: about.update(classes="zero"),
        "a_graph_without_name": lambda about: about.update(graph=7),
        "a_graph_nobody_knows": lambda about: about.update(graph="../generate"),
        "no_golden_output": lambda about: about.pop("golden"),
        "another_golden_output": lambda about: about["golden"]["outputs"]["image"].update(values=[0.5] * 8),
        "golden_words": lambda about: about["golden"]["outputs"]["image"].update(values="abcdefgh"),
        "golden_nan": lambda about: about["golden"]["outputs"]["image"].update(values=[float("nan")] * 8),
    }


def changed(sound: bytes, change: Change) -> bytes:
    model = load_from_string(sound)
    for entry in [e for e in model.metadata_props if e.key != METADATA_KEY]:
        model.metadata_props.remove(entry)
    change(model)
    return seal(model.SerializeToString(deterministic=True))


def said(model: ModelProto, words: str) -> None:
    model.metadata_props[0].value = words


def retold(model: ModelProto, say: Callable[[dict[str, Any]], Any]) -> None:
    about = json.loads(model.metadata_props[0].value)
    say(about)
    said(model, json.dumps(about, ensure_ascii=False))


def foreign() -> ModelProto:
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", edges[:1], edges[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def loop() -> Any:
    body = helper.make_graph([], "body", [], [])
    return helper.make_node("Loop", ["", ""], [], body=body)


def scan(model: ModelProto) -> Any:
    """Over a thousand million rows of no bytes, for nothing."""
    edge = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["state"], ["next"])],
        "body",
        [edge("state", 1, ["batch", 3]), edge("row", 1, [0])],
        [edge("next", 1, ["batch", 3])],
    )
    model.graph.initializer.add(name="rows", data_type=TensorProto.FLOAT, dims=[2**30, 0])
    return helper.make_node("Scan", ["noise", "rows"], ["end"], body=body, num_scan_inputs=1)


def other_weights(model: ModelProto) -> None:
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    array = numpy_helper.to_array(weights)
    weights.CopyFrom(numpy_helper.from_array(np.flip(array).copy(), weights.name))


def bomb(model: ModelProto, shape: list[int]) -> None:
    """An output that needs far more memory than there is, and then is what it was."""
    last = model.graph.node[-1]
    name, last.output[0] = last.output[0], "before"
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "much"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    for operator, taken, given in (
        ("ReduceMax", ["noise"], "one"),
        ("Expand", ["one", "much"], "all"),
        ("ReduceSum", ["all"], "sum"),
        ("Mul", ["sum", "zero"], "none"),
        ("Add", ["before", "none"], name),
    ):
        model.graph.node.append(helper.make_node(operator, taken, [given], name=given))
    for node in model.graph.node:
        if node.op_type in ("ReduceMax", "ReduceSum"):
            node.attribute.append(helper.make_attribute("keepdims", int(node.op_type == "ReduceMax")))


def huge_noise(model: ModelProto) -> None:
    """Graph and metadata agree on it."""
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40
    retold(model, lambda about: about["inputs"]["noise"].update(shape=["batch", 2**40]))


def sparse_file(path: Path, size: int, end: bytes = b"") -> None:
    """As large as is said, and hardly any of it on the disk."""
    with path.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size - len(end))
        stream.write(end)


def with_external_data(sound: bytes, path: Path, place: str) -> None:
    """Weights that lie in another file, reached by `place`."""
    secret = path.parent.parent / "secret.bin"
    secret.write_bytes(bytes(4096))
    (path.parent / "link.bin").symlink_to(secret)
    (path.parent / "hard.bin").hardlink_to(secret)

    def change(model: ModelProto) -> None:
        weights = model.graph.initializer[0]
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=place)

    path.write_bytes(changed(sound, change))
