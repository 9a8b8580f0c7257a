from __future__ import annotations

import pytest
import torch
from torch import nn

from genfoundry.contract import DataSpec, GenerativeModel
from genfoundry.models import build
from genfoundry.models.pix2pix import UNetGenerator
from genfoundry.networks.redrawing import RedrawingGenerator

PARAMS = {
    "generator_channels": 4,
    "discriminator_channels": 4,
    "conditional": True,
    "patch_halvings": 1,
    "dropout": 0.5,
    "l1": 10.0,
}
REDRAW = {"features": 8, "colours": 4}
SHAPE = (3, 16, 16)


def pix2pix(adversarial: float, **changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("pix2pix", {**PARAMS, "adversarial": adversarial, **changes}, DataSpec(SHAPE, ()))


def batch() -> dict[str, torch.Tensor]:
    source, target = torch.rand(2, 4, *SHAPE)
    return {"source": source, "target": target}


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 64), (1, 28, 28), (3, 32, 48), (1, 30, 30)])
def test_a_translation_has_the_size_of_its_source(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape)
    assert UNetGenerator(shape, channels=2, dropout=0.0)(x).shape == x.shape


def test_detail_passes_beside_the_bottleneck() -> None:
    torch.manual_seed(0)
    net = UNetGenerator(SHAPE, channels=2, dropout=0.0).eval()
    nn.init.zeros_(net.down[-1][0].weight)
    nn.init.zeros_(net.head[0].weight[:, -3:])  # the source beside the last map
    changes = []
    net.head.register_forward_hook(lambda *call: changes.append(call[-1]))
    x = torch.rand(1, *SHAPE, requires_grad=True)
    net(x)
    (slope,) = torch.autograd.grad(changes[0].square().sum(), x)
    assert (slope != 0).all()


def test_what_is_not_changed_is_left_as_it_is() -> None:
    net, x = UNetGenerator(SHAPE, channels=2, dropout=0.0), torch.rand(2, *SHAPE)
    for parameter in net.head.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(net(x), x)


def test_dropout_is_on_small_maps_alone_and_rests_in_evaluation() -> None:
    net, x = UNetGenerator((3, 64, 64), channels=2, dropout=0.5), torch.rand(2, 3, 64, 64)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.5] * 3 + [0.0] * 3
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_without_an_adversary_there_is_neither_its_phase_nor_its_network() -> None:
    alone = pix2pix(adversarial=0.0)
    assert [phase.optimizer for phase in alone.phases()] == ["generator"]
    assert set(alone.phases()[0].loss(batch()).terms) == {"l1"}
    assert {name.split(".")[0] for name, _ in alone.named_parameters()} == {"generator"}


@pytest.mark.parametrize("redraw", [None, REDRAW])
def test_both_runs_begin_with_the_same_generator(redraw: dict[str, int] | None) -> None:
    one, other = (pix2pix(weight, redraw=redraw).generator.parameters() for weight in (0.0, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_may_redraw_instead_of_drawing() -> None:
    model, given = pix2pix(adversarial=1.0, redraw=REDRAW), batch()
    assert isinstance(model.generator, RedrawingGenerator)
    model.phases()[1].loss(given).total.backward()
    assert all(p.grad is not None for p in model.generator.parameters())


def test_the_discriminator_judges_the_target_by_its_source() -> None:
    model, given = pix2pix(adversarial=1.0), batch()
    one = model.logits(given["source"], given["target"], [])
    assert not torch.allclose(one, model.logits(given["source"].flip(0), given["target"], []))
    assert not torch.allclose(one, model.logits(given["source"], given["target"].flip(0), []))
    alone = pix2pix(adversarial=1.0, conditional=False)
    assert torch.equal(*(alone.logits(source, given["target"], []) for source in given.values()))


def test_l1_is_the_mean_error_times_its_weight() -> None:
    model, given = pix2pix(adversarial=0.0).eval(), batch()
    expected = 10.0 * (model.generator(given["source"]) - given["target"]).abs().mean()
    torch.testing.assert_close(model.phases()[0].loss(given).total, expected)


PERCEPTUAL = {"weight": 0.5, "channels": 4, "enlarge": 2}


def test_the_perceptual_loss_is_lpips_of_enlarged_images_times_its_weight() -> None:
    model, given = pix2pix(adversarial=0.0, perceptual=PERCEPTUAL).eval(), batch()
    assert model.published() is model.lpips
    images = [model.generator(given["source"]), given["target"]]
    larger = [nn.functional.interpolate(image, scale_factor=2.0, mode="bilinear") for image in images]
    terms = model.phases()[0].loss(given).terms
    torch.testing.assert_close(terms["perceptual"], 0.5 * model.lpips(*larger).mean())


def test_heads_on_the_published_network_play_and_it_does_not() -> None:
    model, given = pix2pix(adversarial=1.0, perceptual=PERCEPTUAL), batch()
    discriminator, generator = model.phases()
    before = [weight.clone() for weight in model.lpips.buffers()]
    discriminator.loss(given).total.backward()
    assert all(p.grad is not None for p in model.discriminator.heads.parameters())
    assert all(p.grad is None for p in model.generator.parameters())
    generator.loss(given).total.backward()
    assert all(p.grad is not None for p in model.generator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.lpips.buffers(), strict=True))
    assert not any(name.startswith("lpips") for name in model.state_dict())
