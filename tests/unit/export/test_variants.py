from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx as onnx_library
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import gate, onnx, variants
from genfoundry.export.onnx import ExportError
from genfoundry.export.variants import Calibration
from genfoundry.params import VariantName
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.golden import FULL, TOLERANCES
from tests.unit import tiny
from tests.unit.export.made import scan_graph

CONFIG = tiny.export()
GATE = tiny.GATE.model_copy(update={"max_abs": 0.1, "mean_abs": 0.02, "flips": 1.0})
every_form = pytest.mark.parametrize("form", get_args(VariantName))


class Decoder(nn.Module):
    """Each operator that int8 knows, with weights that are most of the file."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 64 * 16)
        self.grow = nn.ConvTranspose2d(64, 64, 4, 2, 1)
        self.last = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, noise: Tensor) -> Tensor:
        x = self.linear(noise).relu().reshape(-1, 64, 4, 4)
        return self.last(self.grow(x).relu()).sigmoid()


@pytest.fixture
def graph() -> Graph:
    return Graph(
        "generate",
        Decoder().eval(),
        {"noise": TensorSpec(("batch", 4), "normal")},
        {"image": TensorSpec(("batch", 1, 8, 8), "image")},
    )


@pytest.fixture
def file(graph: Graph, tmp_path: Path) -> Path:
    onnx.write(graph, tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    return tmp_path / "generate.onnx"


def noise(count: int) -> dict[str, np.ndarray]:
    return {"noise": np.random.default_rng(1).standard_normal((count, 4)).astype(np.float32)}


def test_forms_limits_and_tolerances_have_the_same_names() -> None:
    assert set(variants.FORMS) == set(CONFIG.variants) == set(get_args(VariantName))
    assert set(TOLERANCES) == {FULL, *variants.FORMS}


@pytest.mark.parametrize(("form", "share"), [("fp16", 0.55), ("int8", 0.35)])
def test_a_form_is_smaller_near_enough_and_says_what_it_is(
    graph: Graph, file: Path, tmp_path: Path, form: VariantName, share: float
) -> None:
    target = tmp_path / form / "generate.onnx"
    variants.write(graph, file, target, form, noise(64))
    assert target.stat().st_size <= share * file.stat().st_size
    gate.check(graph, target, GATE)
    shipped = Artifact.load(target).graph("generate")
    assert shipped.verify().exact
    assert shipped.about["variant"] == form
    assert {**shipped.about, "golden": 0, "variant": 0} == {
        **Artifact.load(file).graph("generate").about,
        "golden": 0,
        "variant": 0,
    }


@every_form
def test_a_form_is_the_same_bytes_each_time(graph: Graph, file: Path, tmp_path: Path, form: VariantName) -> None:
    for name in ("a", "b"):
        variants.write(graph, file, tmp_path / name / "generate.onnx", form, noise(8))
    assert (tmp_path / "a/generate.onnx").read_bytes() == (tmp_path / "b/generate.onnx").read_bytes()


def test_float16_is_what_is_stored_and_nothing_else_changes(graph: Graph, file: Path, tmp_path: Path) -> None:
    variants.write(graph, file, tmp_path / "fp16/generate.onnx", "fp16", {})
    with torch.no_grad():
        for parameter in graph.module.parameters():
            if parameter.numel() >= variants.SMALLEST:
                parameter.copy_(parameter.half().float())
    gate.check(graph, tmp_path / "fp16/generate.onnx", tiny.GATE)


def test_weights_of_7_bits_on_a_scale_for_each_channel(graph: Graph, file: Path, tmp_path: Path) -> None:
    variants.write(graph, file, tmp_path / "generate.int8.onnx", "int8", noise(64))
    weights = onnx_library.load(tmp_path / "generate.int8.onnx").graph.initializer
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in weights}
    stored = {name: array for name, array in arrays.items() if array.dtype == np.int8 and array.ndim > 1}
    assert len(stored) == 3
    assert all(np.abs(array.astype(int)).max() <= 64 for array in stored.values())
    assert sum(array.ndim == 1 and array.dtype == np.float32 and len(array) > 1 for array in arrays.values()) >= 2


def test_a_loop_keeps_its_steps_and_its_body_is_halved(tmp_path: Path) -> None:
    graph = scan_graph(variants.SMALLEST)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    variants.write(graph, tmp_path / "decode.onnx", tmp_path / "fp16/decode.onnx", "fp16", {})
    gate.check(graph, tmp_path / "fp16/decode.onnx", GATE)
    model = onnx_library.load(tmp_path / "fp16/decode.onnx")
    assert {weight.data_type for weight in model.graph.initializer} == {onnx_library.TensorProto.FLOAT}
    assert (tmp_path / "fp16/decode.onnx").stat().st_size < (tmp_path / "decode.onnx").stat().st_size - 8000


def test_a_loop_has_no_int8(tmp_path: Path) -> None:
    graph = scan_graph(3)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    with pytest.raises(ExportError, match="inside a loop"):
        variants.write(graph, tmp_path / "decode.onnx", tmp_path / "int8.onnx", "int8", {})


class Doubled(nn.Module):
    def forward(self, noise: Tensor) -> Tensor:
        return (2.0 * noise).reshape(-1, 1, 2, 2).sigmoid()


def test_what_has_nothing_to_quantise_has_no_int8(tmp_path: Path) -> None:
    image = TensorSpec(("batch", 1, 2, 2), "image")
    graph = Graph("generate", Doubled(), {"noise": TensorSpec(("batch", 4), "normal")}, {"image": image})
    onnx.write(graph, tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    with pytest.raises(ExportError, match="it has no Conv, ConvTranspose, Gemm or MatMul"):
        variants.write(graph, tmp_path / "generate.onnx", tmp_path / "int8.onnx", "int8", noise(8))


def test_numbers_beyond_float16_are_not_stored_as_such(graph: Graph, tmp_path: Path) -> None:
    with torch.no_grad():
        graph.module.linear.weight[0, 0] = 1e6
    onnx.write(graph, tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    with pytest.raises(ExportError, match="beyond float16"):
        variants.write(graph, tmp_path / "generate.onnx", tmp_path / "fp16.onnx", "fp16", {})


def test_what_is_not_near_enough_does_not_ship_and_it_is_said_why(graph: Graph, file: Path, tmp_path: Path) -> None:
    strict = {
        "fp16": CONFIG.variants["fp16"],
        "int8": CONFIG.variants["int8"].model_copy(update={"max_abs": 1e-6, "mean_abs": 1e-7}),
    }
    config = CONFIG.model_copy(update={"variants": strict})
    found = variants.write_all([graph], tmp_path, Calibration(Artifact.load(file), {"image": np.zeros(8)}), config)
    assert set(found["fp16"]["margins"]) == {"generate"}
    assert found["fp16"]["refused"] == {}
    assert found["int8"]["margins"] == {}
    assert "max_abs" in found["int8"]["refused"]["generate"]
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.onnx")} == {
        "generate.onnx",
        "fp16/generate.onnx",
    }


def test_calibration_is_what_graphs_are_given_in_use(shipped: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, *tiny.SHAPE)).astype(np.uint8)
    degraded, mask = (rng.random((6, *tiny.SHAPE)).astype(np.float32) for _ in range(2))
    artifact = Artifact.load(shipped)
    calibration = Calibration(artifact, {"image": images, "degraded": degraded, "mask": mask})
    np.testing.assert_array_equal(calibration.inputs("encode")["image"], images / np.float32(255.0))
    restored = calibration.inputs("restore")
    assert restored["image"] is degraded
    assert restored["mask"] is mask
    codes = artifact.graph("encode")(image=images / np.float32(255.0))
    np.testing.assert_array_equal(calibration.inputs("decode")["latent"], codes)
    assert calibration.inputs("generate")["noise"].shape == (6, 3)
