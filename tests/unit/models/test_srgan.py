from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from genfoundry.contract import GenerativeModel
from genfoundry.export import gate, onnx
from genfoundry.models import build
from genfoundry.runtime.artifact import Artifact, ArtifactError
from genfoundry.spec import DataSpec
from tests.unit import tiny

DATA = DataSpec((3, 32, 32), (), scale=2)
GAME = {"start": 5, "channels": 2, "content": 1.0, "perceptual": 0.5, "adversarial": 1e-3}


def srgan(scale: int = 2, **params: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("srgan", {"channels": 4, "blocks": 1, **params}, replace(DATA, scale=scale)).eval()


def batch(scale: int = 2) -> dict[str, torch.Tensor]:
    image = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return {"image": image, "degraded": F.avg_pool2d(image, scale)}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_file_takes_images_of_any_size_and_gives_them_larger(tmp_path: Path, scale: int) -> None:
    model, path = srgan(scale), tmp_path / "restore.onnx"
    (graph,) = model.graphs()
    onnx.write(graph, path, {}, opset=20)
    gate.check(graph, path, tiny.GATE)
    shipped = Artifact.load(path).graph("restore")
    assert shipped.outputs["restoration"].shape == ("batch", 3, f"{scale}*height", f"{scale}*width")
    for height, width in ((8, 8), (11, 30), (1, 5)):
        image = torch.rand(2, 3, height, width)
        found = shipped(image=image.numpy())
        assert found.shape == (2, 3, scale * height, scale * width)
        with torch.no_grad():
            np.testing.assert_allclose(found, graph.module(image).numpy(), atol=1e-4)
    with pytest.raises(ArtifactError, match="takes"):
        shipped(image=np.zeros((1, 1, 8, 8), np.float32))


def test_it_adds_details_to_a_bicubic_interpolation() -> None:
    model, small = srgan(), batch()["degraded"]
    with torch.no_grad():
        for parameter in model.generator.details[-1].parameters():
            parameter.zero_()
    assert torch.equal(model.generator(small), F.interpolate(small, scale_factor=2, mode="bicubic"))


def test_without_a_game_it_is_one_phase_and_needs_no_weights() -> None:
    model = srgan()
    assert [phase.optimizer for phase in model.phases()] == ["content"]
    assert model.phases()[0].runs_at(10**6)
    assert model.published() is None


def test_the_game_begins_where_the_content_loss_alone_ends() -> None:
    model = srgan(game=GAME)
    runs = [[phase.optimizer for phase in model.phases() if phase.runs_at(step)] for step in (0, 4, 5, 1000)]
    assert runs == [["content"], ["content"], ["discriminator", "generator"], ["discriminator", "generator"]]
    assert model.published() is model.lpips


def test_the_generator_s_loss_is_the_weighted_sum_of_three() -> None:
    model, given = srgan(game=GAME), batch()
    loss, x, x_hat = model.generator_loss(given), given["image"], model.generator(given["degraded"])
    torch.testing.assert_close(loss.terms["mse"], (x_hat - x).square().mean())
    torch.testing.assert_close(loss.terms["perceptual"], 0.5 * model.lpips(x, x_hat).mean())
    fooled = -model.discriminator(x_hat).sigmoid().log().mean()
    torch.testing.assert_close(loss.terms["adversarial"], 1e-3 * fooled)
    torch.testing.assert_close(loss.watched["psnr"], -10.0 * (x_hat - x).square().mean().log10())


@pytest.mark.parametrize("size", [(16, 16), (20, 33)])
def test_the_discriminator_gives_one_logit_for_an_image_of_any_size(size: tuple[int, int]) -> None:
    assert srgan(game=GAME).discriminator(torch.rand(3, 3, *size)).shape == (3, 1)
