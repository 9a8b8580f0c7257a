from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genfoundry.contract import GenerativeModel
from genfoundry.export import gate, onnx
from genfoundry.models import build
from genfoundry.models.dcgan import conv_discriminator, conv_generator, sides
from tests.unit import tiny

PARAMS = {"noise_dim": 4, "generator_channels": 4, "discriminator_channels": 4}
LABEL = torch.tensor([0, 1, 0, 1])


def dcgan(**changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("dcgan", {**PARAMS, **changes}, tiny.DATA)


def batch(label: torch.Tensor = LABEL) -> dict[str, torch.Tensor]:
    return {"image": torch.rand(4, *tiny.SHAPE), "label": label}


@pytest.mark.parametrize(("conditional", "keys"), [(False, {"image"}), (True, {"image", "label"})])
def test_labels_are_needed_by_a_conditional_model_alone(conditional: bool, keys: set[str]) -> None:
    model = dcgan(conditional=conditional)
    assert model.needs == keys
    for phase in model.phases():
        assert phase.loss({key: batch()[key] for key in keys}).total.isfinite()


def test_both_players_of_a_conditional_game_learn_from_the_class() -> None:
    model = dcgan(conditional=True)
    for phase in model.phases():
        phase.loss(batch()).total.backward()
        assert all(p.grad is not None and p.grad.any() for p in phase.trains.parameters())
        model.zero_grad()
    model.eval()
    images = batch()["image"]
    assert not torch.allclose(model.logits(images, batch(LABEL)), model.logits(images, batch(1 - LABEL)))
    noise = torch.randn(4, 4)
    assert not torch.allclose(model.sampler(noise, LABEL), model.sampler(noise, 1 - LABEL))


@pytest.mark.parametrize(
    ("size", "smallest"), [((64, 64), (4, 4)), ((28, 28), (3, 3)), ((30, 45), (3, 5)), ((12, 10), (6, 5))]
)
def test_both_networks_halve_until_the_shorter_side_has_three_to_five_pixels(
    size: tuple[int, int], smallest: tuple[int, int]
) -> None:
    assert sides(*size)[-1] == smallest
    shape = (1, *size)
    generator, discriminator = conv_generator(4, 4, shape), conv_discriminator(4, shape, batch_norm=True)
    assert generator[1].weight.shape[2:] == discriminator[-2].weight.shape[2:] == smallest
    images = generator(torch.randn(2, 4))
    assert images.shape == (2, *shape)
    assert discriminator(images).shape == (2, 1)


@pytest.mark.parametrize("norm", [False, True])
def test_without_batch_norm_an_image_is_judged_by_itself(norm: bool) -> None:
    images = torch.rand(4, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(conv_discriminator(4, (1, 16, 16), norm)(images)[0].sum(), images)
    assert slope[1:].any() == norm


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("every", [1, 4])
def test_r1_is_of_the_slope_at_real_images_and_as_much_stronger_as_it_is_rarer(
    conditional: bool, every: int
) -> None:
    model = dcgan(conditional=conditional, discriminator_norm=False, r1=0.5, r1_every=every)
    discriminator, r1, generator = model.phases()
    assert [phase.every for phase in (discriminator, r1, generator)] == [1, every, 1]
    images = batch()
    seen = {**images, "image": images["image"].clone().requires_grad_()}
    (slope,) = torch.autograd.grad(model.logits(seen["image"], seen).sum(), seen["image"])
    expected = every * 0.5 * 0.5 * slope.flatten(1).square().sum(dim=1).mean()  # ½ of equation 9, times r1
    torch.testing.assert_close(r1.loss(images).terms["r1"], expected)


@pytest.mark.parametrize("conditional", [False, True])
def test_it_ships_with_or_without_a_label(conditional: bool, tmp_path: Path) -> None:
    (graph,) = dcgan(conditional=conditional).eval().graphs()
    assert list(graph.inputs) == (["noise", "label"] if conditional else ["noise"])
    onnx.write(graph, tmp_path / "generate.onnx", {}, opset=20)
    gate.check(graph, tmp_path / "generate.onnx", tiny.GATE)
