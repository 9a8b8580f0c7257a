from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import onnx
from genfoundry.export.gate import GateError, Margin, cases, check, exceeded, measure, run_torch
from genfoundry.export.onnx import ExportError
from tests.unit import tiny


@pytest.fixture
def through_the_gate(tmp_path: Path) -> Callable[..., Margin]:
    """Exports a module, lets `after` happen to it, and compares."""

    def passing(module: nn.Module, after: Callable[[nn.Module], None] = lambda _: None) -> Margin:
        graph = tiny.generate_graph(module)
        onnx.write(graph, tmp_path / "generate.onnx", {}, opset=20)
        after(module)
        return check(graph, tmp_path / "generate.onnx", tiny.GATE)

    return passing


def test_a_good_file_passes_with_its_margins(through_the_gate: Callable[..., Margin]) -> None:
    margin = through_the_gate(tiny.Generator(nn.Sequential(nn.BatchNorm2d(1), nn.Sigmoid())).eval())
    assert 0 <= margin.mean_abs <= margin.max_abs <= tiny.GATE.max_abs
    assert margin.flips <= tiny.GATE.flips
    assert tiny.GATE.min_spread < margin.spread < 1
    assert margin.noise == 0
    assert margin.coupling <= tiny.GATE.max_abs
    assert all(math.isfinite(value) for value in asdict(margin).values())


class BatchStatistics(nn.Module):
    """What a BatchNorm left in training mode computes."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True).sigmoid()


def test_batchnorm_left_in_training_mode_is_refused(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(GateError, match=r"depends on its neighbours in the batch by .*BatchNorm"):
        through_the_gate(tiny.Generator(BatchStatistics()))


def test_batchnorm_in_training_mode_ships_in_evaluation_mode(through_the_gate: Callable[..., Margin]) -> None:
    module = tiny.Generator(nn.Sequential(nn.BatchNorm2d(1), nn.Sigmoid())).train()
    assert through_the_gate(module).coupling <= tiny.GATE.max_abs
    assert module.training


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + torch.randn_like(x)).sigmoid()


def test_randomness_inside_a_graph_is_refused(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(ExportError, match="'RandomNormalLike' is none that genfoundry ships"):
        through_the_gate(tiny.Generator(Noisy()))
    assert any("randomness must enter as an input" in line for line in exceeded(Margin(noise=0.1), tiny.GATE))


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0.0).sigmoid()


def test_a_constant_output_is_refused(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(GateError, match=r"does not depend on the input \(spread 0 under 0\.001\)"):
        through_the_gate(tiny.Generator(Constant()))


def move_a_weight(module: nn.Module) -> None:
    with torch.no_grad():
        module.linear.weight[0, 0] += 0.1


def test_wrong_weights_are_refused(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(GateError, match=r"max_abs .* is over 0\.0001"):
        through_the_gate(tiny.Generator(), move_a_weight)


def poison(module: nn.Module) -> None:
    with torch.no_grad():
        module.linear.bias[3] = math.nan


@pytest.mark.parametrize("late", [True, False])
def test_nan_is_refused(through_the_gate: Callable[..., Margin], late: bool) -> None:
    module = tiny.Generator()
    if not late:
        poison(module)
    with pytest.raises(GateError, match="not finite"):
        through_the_gate(module, poison if late else lambda _: None)


class Beyond(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


def test_an_image_beyond_zero_and_one_is_refused(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(GateError, match=r"image, batch 1, seed 0, optimisation none: leaves \[0, 1\]: -"):
        through_the_gate(tiny.Generator(Beyond()))


def test_a_refusal_names_file_and_graph_and_is_short(through_the_gate: Callable[..., Margin]) -> None:
    with pytest.raises(GateError) as error:
        through_the_gate(tiny.Generator(Beyond()), move_a_weight)
    head, *lines = str(error.value).splitlines()
    assert "generate.onnx: ONNX Runtime does not reproduce 'generate'; it does not ship" in head
    assert 1 <= len(lines) <= 8


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    onnx.write(tiny.generate_graph(), tmp_path / "generate.onnx", {}, opset=20)

    class Wider(tiny.Generator):
        def forward(self, noise: Tensor) -> Tensor:
            return super().forward(noise).repeat(1, 2, 1, 1)

    with pytest.raises(GateError, match=r"float32\[1, 1, 8, 8\], torch gives float32\[1, 2, 8, 8\]"):
        check(tiny.generate_graph(Wider()), tmp_path / "generate.onnx", tiny.GATE)


def test_a_file_with_a_fixed_batch_is_refused_by_the_gate_too(tmp_path: Path) -> None:
    module, path = tiny.Generator().eval(), tmp_path / "generate.onnx"
    torch.onnx.export(module, (torch.zeros(2, 4),), path, dynamo=True, input_names=["noise"], verbose=False)
    with pytest.raises(GateError):
        check(tiny.generate_graph(module), path, tiny.GATE)


class Resized(nn.Module):
    """(N, 1, H, W) → (N, 1, H + rows, W)."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, image: Tensor) -> Tensor:
        return F.pad(image, (0, 0, 0, self.rows))


def resized(rows: int, promised: str) -> Graph:
    inputs = {"image": TensorSpec(("batch", 1, "height", "width"), "image")}
    outputs = {"found": TensorSpec(("batch", 1, promised, "width"), "image")}
    return Graph("restore", Resized(rows), inputs, outputs)


def test_an_output_of_another_size_than_promised_is_refused(tmp_path: Path) -> None:
    """Also where it is right at the exporter's own size."""
    path = tmp_path / "restore.onnx"
    onnx.write(resized(rows=16, promised="height"), path, {}, opset=20)
    words = r"found: torch gives \[1, 1, 32, 17\], the spec says .*, height 16, width 17"
    with pytest.raises(GateError, match=words):
        check(resized(rows=16, promised="height"), path, tiny.GATE)
    with pytest.raises(GateError, match=r"torch gives \[1, 1, 33, 40\], the spec says .*2\*height"):
        check(resized(rows=16, promised="2*height"), path, tiny.GATE)


def test_each_batch_meets_several_sizes_and_no_image_is_square() -> None:
    found = [sizes for _, sizes in cases(tiny.GATE, ("batch", "height", "width"))]
    assert {sizes["batch"] for sizes in found} == set(tiny.GATE.batches)
    assert {sizes["height"] for sizes in found} == {sizes["width"] for sizes in found} == set(tiny.GATE.sizes)
    assert all(sizes["height"] != sizes["width"] for sizes in found)
    assert [sizes for _, sizes in cases(tiny.GATE, ("batch",))] == [{"batch": n} for n in (1, 2, 5)] * 2


def test_the_module_keeps_its_mode(through_the_gate: Callable[..., Margin]) -> None:
    graph: Graph = tiny.generate_graph(tiny.Generator(nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Sigmoid())))
    graph.module.train()
    graph.module.last[1].eval()
    noise = {"noise": np.ones((3, 4), np.float32)}
    first, again = run_torch(graph, noise), run_torch(graph, noise)
    assert np.array_equal(first["image"], again["image"])
    assert graph.module.training
    assert [m.training for m in graph.module.last] == [True, False, True]
    assert graph.module.last[0].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("figure", "value"),
    [("max_abs", 2e-4), ("mean_abs", 2e-5), ("flips", 2e-3), ("spread", 1e-4), ("coupling", 1e-2), ("noise", 1e-9)],
)
def test_each_limit_has_its_line(figure: str, value: float) -> None:
    good = Margin(1e-6, 1e-7, 0.0, 0.1, 0.0, 0.0)
    assert list(exceeded(good, tiny.GATE)) == []
    (line,) = exceeded(Margin(**{**asdict(good), figure: value}), tiny.GATE)
    assert f"{value:.3g}" in line


def test_the_worse_of_two_margins_is_worse_in_each_figure() -> None:
    a, b = Margin(1, 0, 3, 0.5, 0, 2), Margin(0, 2, 1, 0.1, 4, 0)
    assert a.worse(b) == b.worse(a) == Margin(1, 2, 3, 0.1, 4, 2)
    assert Margin().worse(a) == a


@pytest.mark.parametrize(
    ("kind", "max_abs", "mean_abs", "coupling"),
    [("image", 0.5, 0.1525, 0.5), ("value", 0.01, (0.5 / 1000 + 0.01 + 0.1 / 1000) / 4, 0.5 / 1000)],
)
def test_errors_of_a_value_stand_beside_the_magnitude_of_their_sample(
    kind: str, max_abs: float, mean_abs: float, coupling: float
) -> None:
    expected = np.array([[-1000.0, 1.0], [0.5, 0.0]])
    got = expected + np.array([[0.5, 0.1], [0.01, 0.0]])
    margin = measure(got, expected, got, expected[:1], kind)
    assert (margin.max_abs, margin.mean_abs) == (pytest.approx(max_abs), pytest.approx(mean_abs))
    assert margin.coupling == pytest.approx(coupling)


def test_one_value_for_each_sample_is_its_own_magnitude() -> None:
    got, expected = np.array([-2e6 + 2.0, 1e-3]), np.array([-2e6, 0.0])
    assert measure(got, expected, got, got[:1], "value").max_abs == pytest.approx(1e-3)
