from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
import torch

from genfoundry.export import gate, onnx
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny
from tests.unit.export.made import scan_graph


@pytest.mark.parametrize("steps", [1, 7])
def test_the_file_gives_what_the_loop_gives_at_any_batch(tmp_path: Path, steps: int) -> None:
    graph = scan_graph(steps)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    gate.check(graph, tmp_path / "decode.onnx", tiny.GATE)
    shipped = Artifact.load(tmp_path / "decode.onnx").graph("decode")
    noise, label = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32), np.array([0, 1, 1])
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


def test_the_weights_lie_in_the_body_where_onnxruntime_lays_them_out(tmp_path: Path) -> None:
    onnx.write(scan_graph(2), tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    model = onnx_library.load(tmp_path / "decode.onnx")
    (scan,) = (node for node in model.graph.node if node.op_type == "Scan")
    body = next(attribute.g for attribute in scan.attribute if attribute.name == "body")
    inside = {weight.name for weight in body.initializer}
    assert inside
    assert not inside & {weight.name for weight in model.graph.initializer}
