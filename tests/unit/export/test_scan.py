from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
import torch
from torch import Tensor, nn

from genfoundry.contract import Graph, Scan, TensorSpec
from genfoundry.export import gate, onnx
from genfoundry.export.scan import shortened, steps_of
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny


class Step(nn.Module):
    """A weight large enough to be seen in the file's size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(64, 64)

    def forward(self, state: Tensor, rate: Tensor, offset: Tensor, label: Tensor) -> Tensor:
        return state + rate * torch.tanh(self.linear(state)) + offset * label[:, None]


def scan_graph(steps: int) -> Graph:
    rows = {"rate": torch.linspace(0.1, 0.9, steps), "offset": torch.linspace(0.3, 0.0, steps)}
    inputs = {
        "noise": TensorSpec(("batch", 64), "normal"),
        "label": TensorSpec(("batch",), "label", high=4, dtype="int64"),
    }
    return Graph("decode", Scan(Step(), rows, nn.Tanh()), inputs, {"latent": TensorSpec(("batch", 64), "value")})


@pytest.mark.parametrize("steps", [1, 7])
def test_the_file_gives_what_the_loop_gives_at_any_batch(tmp_path: Path, steps: int) -> None:
    graph = scan_graph(steps)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    gate.check(graph, tmp_path / "decode.onnx", tiny.GATE)
    shipped = Artifact.load(tmp_path / "decode.onnx").graph("decode")
    noise, label = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32), np.array([0, 1, 3])
    expected = graph.module(torch.from_numpy(noise), torch.from_numpy(label)).detach().numpy()
    np.testing.assert_allclose(shipped(noise=noise, label=label), expected, atol=1e-5)


def test_more_steps_do_not_make_a_larger_file(tmp_path: Path) -> None:
    sizes = []
    for steps in (2, 50):
        onnx.write(scan_graph(steps), tmp_path / f"{steps}.onnx", tiny.ABOUT, opset=20)
        sizes.append((tmp_path / f"{steps}.onnx").stat().st_size)
    assert sizes[1] < sizes[0] + 1000
    model = onnx_library.load(tmp_path / "50.onnx")
    assert [node.op_type for node in model.graph.node if node.op_type == "Scan"] == ["Scan"]


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_loop_that_is_left_early_has_done_its_first_steps(tmp_path: Path, steps: int) -> None:
    graph = scan_graph(7)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    model = onnx_library.load(tmp_path / "decode.onnx")
    assert steps_of(model) == 7
    onnx_library.save(shortened(model, steps), tmp_path / "short.onnx")
    rows = {name: row[:steps] for name, row in graph.module.rows.items()}
    noise, label = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32), np.array([0, 1, 3])
    first_steps = Scan(graph.module.step, rows, graph.module.after)
    expected = first_steps(torch.from_numpy(noise), torch.from_numpy(label)).detach().numpy()
    found = Artifact.load(tmp_path / "short.onnx").graph("decode")(noise=noise, label=label)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_no_loop_has_no_steps(tmp_path: Path) -> None:
    onnx.write(tiny.generate_graph(), tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    assert steps_of(onnx_library.load(tmp_path / "generate.onnx")) == 0
