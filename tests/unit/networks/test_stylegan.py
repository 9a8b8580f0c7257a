from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from genfoundry.networks.stylegan import (
    SMALLEST,
    Discriminator,
    EqualConv,
    EqualLinear,
    Generator,
    Mapping,
    ModulatedConv,
    Synthesis,
    canvas_side,
    margins,
    mixed,
    upsampled,
    widths,
    with_deviation,
)

SHAPES = [((1, 16, 16), 1), ((3, 28, 28), 2), ((2, 10, 24), 1), ((1, 4, 5), 2)]
W_DIM = 6


def synthesis(shape: tuple[int, int, int] = (1, 14, 14), patch: int = 1) -> Synthesis:
    torch.manual_seed(0)
    return Synthesis(shape, widths(shape, 4, 8, patch), patch, W_DIM)


def generator() -> Generator:
    found = Generator(Mapping(W_DIM, 2, rate=0.1), synthesis())
    found.mapping.average.normal_()
    return found


def inputs(net: Generator, count: int, crossover: float = 1.0, truncation: float = 1.0) -> list[Tensor]:
    noise, second = torch.randn(2, count, W_DIM)
    texture = torch.randn(count, net.synthesis.noise_dim)
    return [noise, texture, second, torch.full((count,), crossover), torch.full((count,), truncation)]


def grouped(layer: ModulatedConv, x: Tensor, w: Tensor) -> Tensor:
    """Equations 1 and 3 of Karras 2020 to the letter: the weights of each image, in a group of its own."""
    batch, fan_in, height, width = x.shape
    weight = layer.weight[None] * layer.scale * layer.style(w)[:, None, :, None, None]
    if layer.demodulate:
        weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    one = x.reshape(1, batch * fan_in, height, width)
    y = F.conv2d(one, weight.flatten(0, 1), padding=layer.padding, groups=batch)
    return y.reshape(batch, -1, height, width)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_scaled_channels_are_the_paper_s_modulated_weights(demodulate: bool, kernel: int) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(5, 7, kernel, W_DIM, demodulate)
    x, w = torch.randn(3, 5, 6, 6), 2.0 * torch.randn(3, W_DIM)
    torch.testing.assert_close(layer(x, w), grouped(layer, x, w), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(x, w, up=True), upsampled(grouped(layer, x, w)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_demodulated_features_have_unit_variance_whatever_the_style(strength: float) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(8, 4, 3, W_DIM)
    w = strength * torch.randn(2, W_DIM)
    y = layer(torch.randn(2, 8, 130, 130), w)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(y.var(dim=(2, 3)), torch.ones(2, 4), rtol=0.1, atol=0.0)


@pytest.mark.parametrize("rate", [0.01, 1.0])
def test_equalised_layers_keep_the_variance_and_a_rate_slows_learning_alone(rate: float) -> None:
    torch.manual_seed(0)
    layer, x = EqualLinear(256, 64, bias=0.5, rate=rate), torch.randn(500, 256)
    y = layer(x)
    assert y.std().item() == pytest.approx(1.0, rel=0.05)
    assert y.mean().item() == pytest.approx(0.5, abs=0.05)
    y.sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((64,), 500.0 * rate))


def test_an_equalised_convolution_keeps_the_variance() -> None:
    torch.manual_seed(0)
    y = EqualConv(32, 64, 3, gain=1.0)(torch.randn(4, 32, 20, 20))[:, :, 1:-1, 1:-1]
    assert y.std().item() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "patch", "side"), [((1, 28, 28), 1, 32), ((3, 10, 33), 2, 64), ((1, 4, 4), 4, 16)]
)
def test_the_canvas_is_a_power_of_two_that_holds_the_image_in_its_centre(
    shape: tuple[int, int, int], patch: int, side: int
) -> None:
    assert canvas_side(shape, patch) == side
    left, right, top, bottom = margins(shape, side)
    assert (left + shape[2] + right, top + shape[1] + bottom) == (side, side)
    assert 0 <= right - left <= 1
    assert 0 <= bottom - top <= 1


@pytest.mark.parametrize(("patch", "expected"), [(1, (50, 40, 20, 10)), (2, (40, 20, 10)), (8, (10,))])
def test_widths_double_towards_the_smallest_resolution(patch: int, expected: tuple[int, ...]) -> None:
    assert widths((1, 28, 28), 10, 50, patch) == expected
    assert canvas_side((1, 28, 28), patch) == SMALLEST * patch * 2 ** (len(expected) - 1)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_an_image_of_any_shape_leaves_and_enters(shape: tuple[int, int, int], patch: int) -> None:
    net = synthesis(shape, patch)
    image = net(torch.randn(3, len(net.layers), W_DIM), torch.randn(3, net.noise_dim))
    assert image.shape == (3, *shape)
    assert 0.0 <= image.min() < image.max() <= 1.0
    assert Discriminator(shape, widths(shape, 4, 8, patch), patch)(image).shape == (3, 1)


def test_truncation_to_nothing_gives_the_average_image_whatever_z() -> None:
    net = generator()
    average = net.mapping.average.expand(4, len(net.synthesis.layers), -1)
    given = inputs(net, 4, truncation=0.0)
    torch.testing.assert_close(net(*given), net.synthesis(average, given[1]))
    full, half = net(*given[:4], torch.ones(4)), net(*given[:4], torch.full((4,), 0.5))
    assert not torch.allclose(full, half)


def test_crossover_is_the_share_of_layers_of_the_first_style() -> None:
    first, second = torch.ones(5, W_DIM), torch.zeros(5, W_DIM)
    styles = mixed(first, second, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), layers=4)
    assert styles[:, :, 0].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_one_style_is_what_it_is_without_the_other() -> None:
    net = generator()
    noise, texture, second, *_, psi = inputs(net, 3)
    ones, zeros = torch.ones(3), torch.zeros(3)
    torch.testing.assert_close(net(noise, texture, second, ones, psi), net(noise, texture, noise, zeros, psi))
    torch.testing.assert_close(net(noise, texture, second, zeros, psi), net(second, texture, noise, ones, psi))
    between = net(noise, texture, second, 0.5 * ones, psi)
    assert not torch.allclose(between, net(noise, texture, second, ones, psi))


def test_each_layer_s_noise_has_its_strength() -> None:
    net = synthesis()
    w, (a, b) = torch.randn(1, len(net.layers), W_DIM), torch.randn(2, 1, net.noise_dim)
    torch.testing.assert_close(net(w, a), net(w, b))
    torch.nn.init.ones_(net.layers[-1].strength)
    rest = net.noise_dim - net.sides[-1] ** 2
    torch.testing.assert_close(net(w, a), net(w, torch.cat([b[:, :rest], a[:, rest:]], dim=1)))
    assert not torch.allclose(net(w, a), net(w, b))


def test_the_average_of_w_is_followed() -> None:
    mapping = Mapping(W_DIM, 1, rate=1.0)
    for _ in range(200):
        mapping.track(torch.full((4, W_DIM), 3.0), decay=0.9)
    torch.testing.assert_close(mapping.average, torch.full((W_DIM,), 3.0))


def test_a_style_has_no_length_in_z() -> None:
    mapping, z = Mapping(W_DIM, 2, rate=1.0), torch.randn(3, W_DIM)
    torch.testing.assert_close(mapping(z), mapping(10.0 * z))


def test_the_discriminator_is_told_how_much_a_batch_varies() -> None:
    x = torch.randn(6, 2, 3, 3)
    seen = with_deviation(x)
    assert torch.equal(seen[:, :2], x)
    torch.testing.assert_close(seen[:, 2], x.std(dim=0, correction=0).mean().expand(6, 3, 3))
    assert with_deviation(x[:1].expand(6, -1, -1, -1))[:, 2].max() < 1e-3
