from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
import torch

from genfoundry.contract import Scan
from genfoundry.export import onnx
from genfoundry.export.sealing import sealed
from genfoundry.export.steps import shortened, steps_of
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny
from tests.unit.export.made import scan_graph


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_loop_that_is_left_early_has_done_its_first_steps(tmp_path: Path, steps: int) -> None:
    graph = scan_graph(7)
    onnx.write(graph, tmp_path / "decode.onnx", tiny.ABOUT, opset=20)
    model = onnx_library.load(tmp_path / "decode.onnx")
    assert steps_of(model) == 7
    (tmp_path / "short.onnx").write_bytes(sealed(shortened(model, steps)))
    rows = {name: row[:steps] for name, row in graph.module.rows.items()}
    noise, label = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32), np.array([0, 1, 1])
    first_steps = Scan(graph.module.step, rows, graph.module.after)
    expected = first_steps(torch.from_numpy(noise), torch.from_numpy(label)).detach().numpy()
    found = Artifact.load(tmp_path / "short.onnx").graph("decode")(noise=noise, label=label)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_no_loop_has_no_steps(tmp_path: Path) -> None:
    onnx.write(tiny.generate_graph(), tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    assert steps_of(onnx_library.load(tmp_path / "generate.onnx")) == 0
