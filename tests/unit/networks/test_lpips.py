from __future__ import annotations

import pytest
import torch
from torch import nn

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.data import DataError
from genfoundry.networks.lpips import LPIPS, TRUNKS, trunk_of
from tests.unit.tiny import lpips_tensors

SIDE = 33

each_trunk = pytest.mark.parametrize("trunk", TRUNKS)


def network(trunk: str) -> LPIPS:
    torch.manual_seed(0)
    return LPIPS(trunk)


def images(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(3, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@each_trunk
def test_it_is_a_distance_that_grows_with_the_difference(trunk: str) -> None:
    net, x, noise = network(trunk), images(0), images(1)
    assert net(x, x).tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(net(x, noise), net(noise, x))
    nearer, farther = (net(x, torch.lerp(x, noise, share)) for share in (0.1, 0.5))
    assert (nearer > 0).all()
    assert (farther > nearer).all()


@each_trunk
def test_grey_is_rgb_with_three_equal_channels(trunk: str) -> None:
    net, x, y = network(trunk), images(0, 1), images(1, 1)
    torch.testing.assert_close(net(x, y), net(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1)))


@each_trunk
def test_an_image_s_distance_does_not_depend_on_its_neighbours(trunk: str) -> None:
    net, x, y = network(trunk), images(0), images(1)
    torch.testing.assert_close(net(x, y)[:1], net(x[:1], y[:1]))


@pytest.mark.parametrize(("trunk", "name"), [("alexnet", "alex"), ("vgg16", "vgg")])
@torch.no_grad()
def test_agrees_with_torchmetrics(trunk: str, name: str) -> None:
    """Their network, with their copy of the published heads, and with a random trunk that both have."""
    from torchmetrics.functional.image.lpips import _LPIPS

    theirs, ours = _LPIPS(net=name, pretrained=True, pnet_rand=True), network(trunk)
    convolutions = [part for part in theirs.net.modules() if isinstance(part, nn.Conv2d)]
    for place, convolution in zip(ours.convolutions, convolutions, strict=True):
        place.weight.copy_(convolution.weight)
        place.bias.copy_(convolution.bias)
    for place, head in zip(ours.heads, theirs.lins, strict=True):
        place.copy_(head.model[-1].weight.flatten())
    for seed in range(3):
        x, y = images(seed), torch.lerp(images(seed), images(9), 0.4)
        torch.testing.assert_close(ours(x, y), theirs(x, y, normalize=True).flatten(), rtol=1e-5, atol=1e-7)


@each_trunk
def test_published_weights_come_to_their_places(trunk: str) -> None:
    source, x, y = network(trunk), images(0), images(1)
    tensors = lpips_tensors(source)
    assert trunk_of(tensors) == trunk
    torch.manual_seed(1)
    other = LPIPS(trunk)
    assert not torch.allclose(other(x, y), source(x, y))
    other.load_published(tensors)
    assert torch.equal(other(x, y), source(x, y))


def test_weights_of_something_else_are_refused() -> None:
    tensors = lpips_tensors(network("alexnet"))
    with pytest.raises(DataError, match="not the weights of LPIPS on vgg16: AlexNet_0"):
        network("vgg16").load_published(tensors)
    with pytest.raises(DataError, match="same names, other shapes"):
        network("alexnet").load_published({**tensors, "AlexNet_0.Conv_1.bias": torch.zeros(3)})
    with pytest.raises(DataError, match=r"not weights of LPIPS: _conv_stem\.weight"):
        trunk_of({"_conv_stem.weight": torch.zeros(1)})


def test_as_a_loss_it_moves_the_image_and_not_itself() -> None:
    net, x = network("alexnet"), images(0)
    x_hat = images(1).requires_grad_()
    before = net(x, x_hat).mean()
    before.backward()
    assert x_hat.grad is not None
    assert x_hat.grad.isfinite().all()
    with torch.no_grad():
        moved = x_hat - 5.0 * x_hat.grad / x_hat.grad.norm()
        assert net(x, moved).mean() < before
    assert not list(net.parameters())
    assert not any(tensor.requires_grad for tensor in net.buffers())


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_the_gradient_is_finite_where_images_are_equal_or_empty(value: float) -> None:
    x_hat = torch.full((1, 3, SIDE, SIDE), value, requires_grad=True)
    network("alexnet")(torch.full((1, 3, SIDE, SIDE), value), x_hat).sum().backward()
    assert x_hat.grad is not None
    assert x_hat.grad.isfinite().all()


def test_a_model_that_has_it_neither_saves_nor_trains_it_and_takes_it_along() -> None:
    model = nn.ModuleDict({"own": nn.Linear(2, 2), "perceptual": network("alexnet")})
    assert set(model.state_dict()) == {"own.weight", "own.bias"}
    assert {name for name, _ in model.named_parameters()} == {"own.weight", "own.bias"}
    assert all(tensor.dtype == torch.float64 for tensor in model.double()["perceptual"].buffers())
