from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from genfoundry.data.batches import Prepared
from genfoundry.export import onnx
from genfoundry.metrics.lpips import LpipsDistance
from genfoundry.models import build
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import Setting
from genfoundry.tasks.stage import score
from genfoundry.tasks.super_resolve import TASK, bicubic
from tests.unit import tiny
from tests.unit.tasks.made import NOBODY

RAMP = (np.arange(16, dtype=np.float32) / 16)[None, None, None, :].repeat(16, axis=2)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_interpolation_keeps_a_slope(factor: int) -> None:
    """A cubic convolution reproduces linear functions between its samples; Keys 1981."""
    found = bicubic(RAMP, factor, keys=True)
    assert found.shape == (1, 1, 16 * factor, 16 * factor)
    places = (np.arange(16 * factor) + 0.5) / factor - 0.5
    inner = slice(2 * factor, -2 * factor)
    np.testing.assert_allclose(found[0, 0, 5, inner], places[inner] / 16, atol=1e-5)


def test_keys_s_kernel_keeps_a_parabola_and_the_sharper_one_does_not() -> None:
    places = (np.arange(32) + 0.5) / 2 - 0.5
    errors = [np.abs(bicubic(RAMP**2, 2, keys)[0, 0, 5] - (places / 16) ** 2)[4:-4].max() for keys in (True, False)]
    assert errors[0] < 1e-5 < 1e-4 < errors[1]


class Nearest(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@pytest.fixture
def setting(prepared: Path, tmp_path: Path) -> Setting:
    """A model that repeats pixels."""
    spec = replace(tiny.DATA, scale=2)
    (graph,) = build("srgan", {"channels": 2, "blocks": 1}, spec).graphs()
    data = {"dataset": "dots", "degradations": {"scale": 2}}
    onnx.write(replace(graph, module=Nearest()), tmp_path / "restore.onnx", {**tiny.ABOUT, "data": data}, opset=20)
    artifact = Artifact.load(tmp_path / "restore.onnx")
    return Setting(artifact, Prepared(prepared), NOBODY, tiny.evaluation(), seed=0)


def test_images_are_made_small_and_compared_with_what_they_were(setting: Setting) -> None:
    assert TASK.applies(setting)
    finding = TASK.find(setting)
    value = finding.roles["value"]
    assert value.output.shape == value.target.shape == (20, *tiny.SHAPE)
    assert np.array_equal(value.target, from_bytes(setting.prepared.split("test").images[:20]))
    assert np.array_equal(value.output[:, :, ::2], value.output[:, :, 1::2])
    assert finding.baseline.startswith("bicubic")
    assert finding.protocol == {"n": 20, "conditions": "scale 2"}


class Half:
    """Half of the first pixels' difference, as a distance."""

    protocol: ClassVar = {"extractor": "half", "sha256": "0" * 64}

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.abs(x - y)[:, 0, 0, 0] / 2


@pytest.mark.parametrize(("perceptual", "leader"), [(None, "psnr"), (Half(), "lpips")])
def test_the_perceptual_distance_leads_where_it_is_measured(
    setting: Setting, perceptual: LpipsDistance | None, leader: str
) -> None:
    asked = replace(setting, perceptual=perceptual)
    scores, protocol = score({TASK: TASK.find(asked)}, asked.artifact, asked.config, seed=0)
    assert [name for name, words in protocol.items() if words["leads"]] == [f"super_resolve_{leader}"]
    assert ("super_resolve_lpips" in scores) == (perceptual is not None)
    cited = None if perceptual is None else perceptual.protocol["extractor"]
    assert {words.get("extractor") for words in protocol.values()} == {cited}
