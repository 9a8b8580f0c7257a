from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx as onnx_library
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import onnx
from genfoundry.export.onnx import ExportError
from genfoundry.runtime import golden
from genfoundry.runtime.container import read
from tests.unit import tiny


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "generate.onnx"
    onnx.write(tiny.generate_graph(), path, tiny.ABOUT, opset=20)
    return path


def metadata(path: Path) -> dict:
    said, _seal = onnx_library.load(path).metadata_props
    return json.loads(said.value)


def test_file_describes_itself(exported: Path) -> None:
    found = metadata(exported)
    assert found.items() >= tiny.ABOUT.items()
    assert found["graph"] == "generate"
    graph = tiny.generate_graph()
    for side, specs in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        assert {n: TensorSpec.from_json(spec) for n, spec in found[side].items()} == specs
    assert {"kind", "low", "high", "shape", "dtype"} <= set(found["inputs"]["noise"])
    assert found["versions"]["onnx"] == onnx_library.__version__
    assert golden.prove(read(exported), exported) == golden.Proof(exact=True, largest=0.0)


def test_file_holds_its_weights_and_the_opset(exported: Path) -> None:
    assert [p.name for p in exported.parent.iterdir()] == ["generate.onnx"]
    model = onnx_library.load(exported, load_external_data=False)
    assert [o.version for o in model.opset_import if o.domain == ""] == [20]
    assert not any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer)


@pytest.mark.parametrize("count", [1, 3, 17])
def test_batch_is_dynamic_and_named(exported: Path, count: int) -> None:
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 4]
    assert session.get_outputs()[0].shape == ["batch", *tiny.SHAPE]
    noise = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    (image,) = session.run(None, {"noise": noise})
    with torch.no_grad():
        expected = tiny.Generator()(torch.from_numpy(noise))
    np.testing.assert_allclose(image, expected.numpy(), atol=1e-6)


SCRIPT = """
from pathlib import Path
from genfoundry.export import onnx
from tests.unit import tiny
onnx.write(tiny.generate_graph(), Path("generate.onnx"), tiny.ABOUT, opset=20)
"""


def test_bytes_are_the_same_again_and_in_another_process_and_folder(exported: Path, tmp_path: Path) -> None:
    onnx.write(tiny.generate_graph(), tmp_path / "again.onnx", tiny.ABOUT, opset=20)
    elsewhere = tmp_path / "elsewhere" / "checkout"
    (elsewhere / "src").mkdir(parents=True)
    (elsewhere / "tests").symlink_to(Path(__file__).parents[2])
    (elsewhere / "build.py").write_text(SCRIPT)
    tiny.python("build.py", cwd=elsewhere)
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert (elsewhere / "generate.onnx").read_bytes() == exported.read_bytes()


def leaks(content: bytes) -> list[str]:
    places = [str(Path(torch.__file__).parent), str(tiny.SOURCE), str(Path(__file__).parent), "site-packages"]
    return [word for word in [*places, "pkg.torch", "stack_trace", '.py"'] if word.encode() in content]


def test_bytes_name_no_place_of_the_builder(exported: Path) -> None:
    assert leaks(exported.read_bytes()) == []
    assert leaks(onnx.trace(tiny.generate_graph(), 20).SerializeToString()) != []


class Branching(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        wide = noise.repeat(1, 16).unflatten(1, tiny.SHAPE)
        return torch.cond(noise.sum() > 0, lambda x: x.sin().square(), lambda x: x.cos().square(), (wide,))


def test_bodies_of_control_flow_name_no_place_either(tmp_path: Path) -> None:
    onnx.write(tiny.generate_graph(Branching()), tmp_path / "g.onnx", {}, opset=20)
    assert leaks((tmp_path / "g.onnx").read_bytes()) == []


class Fixed(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return noise.reshape(golden.ITEMS, 4).repeat(1, 16).unflatten(1, tiny.SHAPE).sigmoid()


class Broken(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        raise RuntimeError("cannot be computed")


@pytest.mark.parametrize(("module", "words"), [(Fixed(), "generate"), (Broken(), "cannot be computed")])
def test_a_module_that_cannot_be_exported_leaves_no_file(tmp_path: Path, module: nn.Module, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        onnx.write(tiny.generate_graph(module), tmp_path / "g.onnx", {}, opset=20)
    assert not list(tmp_path.iterdir())


def model_of(batch: int | str, name: str = "noise", width: int = 4) -> onnx_library.ModelProto:
    """A file whose input has these axes."""
    tensors = [
        helper.make_tensor_value_info(key, TensorProto.FLOAT, [batch, *rest])
        for key, rest in ((name, (width,)), ("image", tiny.SHAPE))
    ]
    return helper.make_model(helper.make_graph([], "g", tensors[:1], tensors[1:]))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (model_of(2), "axis 'batch' of noise became the constant 2"),
        (model_of("s0", width=5), "noise is .*5.*, the spec says"),
        (model_of("s0", name="z"), r"the file has \['z'\], the spec \['noise'\]"),
    ],
)
def test_axes_that_differ_from_the_spec_are_refused(model: onnx_library.ModelProto, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        onnx.check_axes(tiny.generate_graph(), model)


def test_symbolic_axes_get_the_spec_s_name() -> None:
    model = model_of("s77")
    onnx.check_axes(tiny.generate_graph(), model)
    assert {v.type.tensor_type.shape.dim[0].dim_param for v in (*model.graph.input, *model.graph.output)} == {
        "batch"
    }


class Several(nn.Module):
    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        image, mask = inputs
        return image * mask, image.mean(dim=(1, 2, 3))[:, None]


@pytest.mark.parametrize("count", [1, 5])
def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path, count: int) -> None:
    mask, level = TensorSpec(tiny.DATA.image.shape, "mask"), TensorSpec(("batch", 1), "value")
    inputs = {"image": tiny.DATA.image, "mask": mask}
    graph = Graph("restore", Several(), inputs, {"masked": tiny.DATA.image, "level": level})
    onnx.write(graph, tmp_path / "restore.onnx", {}, opset=20)
    session = ort.InferenceSession(tmp_path / "restore.onnx", providers=["CPUExecutionProvider"])
    feed = {name: golden.draw(spec, np.random.default_rng(0), batch=count) for name, spec in inputs.items()}
    masked, levels = session.run(["masked", "level"], feed)
    assert np.array_equal(masked, feed["image"] * feed["mask"])
    np.testing.assert_allclose(levels[:, 0], feed["image"].mean(axis=(1, 2, 3)), rtol=1e-5)


class Level(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=(1, 2, 3))[:, None]


def test_an_output_named_like_a_tensor_inside_is_refused(tmp_path: Path) -> None:
    outputs = {"mean": TensorSpec(("batch", 1), "value")}
    graph = Graph("encode", Level(), {"image": tiny.DATA.image}, outputs)
    with pytest.raises(onnx.ExportError, match="named like a tensor inside"):
        onnx.write(graph, tmp_path / "encode.onnx", {}, opset=20)


def test_a_value_is_exercised_with_normal_numbers() -> None:
    drawn = golden.draw(TensorSpec(("batch", 1000), "value"), np.random.default_rng(0), batch=20)
    assert drawn.min() < -2
    assert drawn.max() > 2


class Doubled(nn.Module):
    """Each row and each column twice."""

    def forward(self, image: Tensor) -> Tensor:
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_sizes_are_dynamic_and_multiples_are_named(tmp_path: Path) -> None:
    small = TensorSpec(("batch", 1, "height", "width"), "image")
    large = TensorSpec(("batch", 1, "2*height", "2*width"), "image")
    graph = Graph("restore", Doubled(), {"image": small}, {"large": large})
    assert golden.example_sizes(graph.axes) == {"batch": 2, "height": 16, "width": 17}
    onnx.write(graph, tmp_path / "restore.onnx", {}, opset=20)
    session = ort.InferenceSession(tmp_path / "restore.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    assert session.get_outputs()[0].shape == ["batch", 1, "2*height", "2*width"]
    image = small.draw(np.random.default_rng(0), batch=3, height=5, width=9)
    (found,) = session.run(None, {"image": image})
    assert np.array_equal(found, image.repeat(2, axis=2).repeat(2, axis=3))


def test_an_input_with_a_default_is_exercised_over_its_whole_range() -> None:
    drawn = golden.draw(TensorSpec(("batch", 1000), "scalar", default=1.0), np.random.default_rng(0), batch=2)
    assert drawn.min() < 0.1 < 0.9 < drawn.max()
