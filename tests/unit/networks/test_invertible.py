"""The laws of invertible layers: `inverse` undoes a layer; its log-determinant is that of autograd's Jacobian."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from genfoundry.networks.invertible import (
    ActNorm,
    AffineCoupling,
    Chain,
    CouplingNet,
    Invertible,
    InvertibleConv1x1,
    Logit,
    MultiScale,
    Squeeze,
    with_fixed_inverses,
)

SHAPE = (4, 2, 4)  # C, H, W


def coupling(shape: tuple[int, int, int] = SHAPE, context: int = 0) -> AffineCoupling:
    channels, height, width = shape
    kept, changed = channels - channels // 2, channels // 2
    return AffineCoupling(CouplingNet((kept, 2 * changed), 5, (height, width), context), channels)


def step(shape: tuple[int, int, int] = SHAPE) -> Chain:
    return Chain(ActNorm(shape[0]), InvertibleConv1x1(shape[0]), coupling(shape, context=3))


def two_levels() -> MultiScale:
    return MultiScale([step(), Chain(Squeeze(), step((8, 1, 2)))], [SHAPE, (8, 1, 2)])


LAYERS: dict[str, Callable[[], Invertible]] = {
    "logit": lambda: Logit(0.02),
    "squeeze": Squeeze,
    "actnorm": lambda: ActNorm(4),
    "conv1x1": lambda: InvertibleConv1x1(4),
    "coupling": coupling,
    "coupling with context": lambda: coupling(context=3),
    "chain": step,
    "one scale": lambda: MultiScale([step()], [SHAPE]),
    "multi-scale": two_levels,
}

every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def scrambled(layer: Invertible) -> Invertible:
    """In float64 and evaluation mode, with parameters far from their start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer.eval()


def inputs(count: int = 3) -> Tensor:
    """Valid for every layer: the logit takes [0, 256]."""
    return 2.0 + 250.0 * torch.rand(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every_layer
def test_inverse_undoes_forward_and_forward_inverse(make: Callable[[], Invertible]) -> None:
    layer, x = scrambled(make()), inputs()
    z, _ = layer(x)
    assert z.numel() == x.numel()
    torch.testing.assert_close(layer.inverse(z), x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer(layer.inverse(z))[0], z, rtol=1e-9, atol=1e-9)


@every_layer
def test_log_det_is_that_of_autograds_jacobian(make: Callable[[], Invertible]) -> None:
    layer, x = scrambled(make()), inputs() / 100.0
    _, log_det = layer(x)
    assert log_det.shape == (len(x),)
    for image, found in zip(x, log_det, strict=True):
        matrix = jacobian(lambda one: layer(one[None])[0].flatten(), image)
        expected = torch.linalg.slogdet(matrix.flatten(1)).logabsdet
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@every_layer
def test_a_layer_with_fixed_inverses_is_the_same_and_stays_so(make: Callable[[], Invertible]) -> None:
    layer, x = scrambled(make()), inputs()
    fixed = with_fixed_inverses(layer)
    z, _ = layer(x)
    before = layer.inverse(z)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1.0)
    assert torch.equal(fixed.inverse(z), before)
    assert not any(name.endswith("fixed_inverse") for name in layer.state_dict())


def test_a_fixed_inverse_is_that_of_the_weight() -> None:
    layer = scrambled(InvertibleConv1x1(4))
    fixed = with_fixed_inverses(layer)
    torch.testing.assert_close(fixed.fixed_inverse @ layer.weight, torch.eye(4).double(), rtol=0, atol=1e-12)
    assert layer.fixed_inverse is None


def test_the_logit_is_finite_at_both_ends() -> None:
    layer, ends = Logit(0.05), torch.tensor([[0.0, 256.0]])
    z, log_det = layer(ends)
    torch.testing.assert_close(z, torch.logit(torch.tensor([[0.05, 0.95]])))
    assert log_det.isfinite().all()


def test_squeeze_makes_channels_of_two_by_two_pixels() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    z, _ = Squeeze()(x)
    assert z[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert z[0, :, 1, 0].tolist() == [8, 9, 12, 13]


def test_actnorm_starts_with_standardised_channels_once_and_only_in_training() -> None:
    layer, first, second = ActNorm(4), inputs(50).float(), 3.0 * inputs(50).float() + 1.0
    assert torch.equal(layer.eval()(first)[0], first)
    z, _ = layer.train()(first)
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var(dim=(0, 2, 3), correction=0), torch.ones(4), rtol=1e-4, atol=0)
    start = layer.bias.clone()
    layer(second)
    assert torch.equal(layer.bias, start)


def test_a_resumed_actnorm_does_not_start_again() -> None:
    layer, resumed = ActNorm(4).train(), ActNorm(4).train()
    layer(inputs(50).float())
    resumed.load_state_dict(layer.state_dict())
    resumed(3.0 * inputs(50).float())
    assert torch.equal(resumed.bias, layer.bias)
    assert torch.equal(resumed.log_scale, layer.log_scale)


def test_actnorm_survives_a_constant_channel() -> None:
    z, log_det = ActNorm(4).train()(torch.ones(8, *SHAPE))
    assert z.isfinite().all()
    assert log_det.isfinite().all()


@pytest.mark.parametrize("channels", [2, 3, 12])
def test_the_convolution_starts_as_a_rotation(channels: int) -> None:
    weight = InvertibleConv1x1(channels).weight.double()
    torch.testing.assert_close(weight @ weight.T, torch.eye(channels).double(), rtol=0, atol=1e-5)


def test_a_coupling_keeps_one_half_and_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    x = inputs() / 100.0
    z, log_det = coupling(context=3).double()(x)
    assert torch.equal(z[:, :2], x[:, :2])
    assert not torch.equal(z[:, 2:], x[:, 2:])
    torch.testing.assert_close(z, x, rtol=0, atol=0.1)
    assert log_det.abs().max() < 0.1


def test_every_parameter_of_a_step_has_a_gradient_at_first() -> None:
    torch.manual_seed(0)
    layer: nn.Module = step().train()
    z, log_det = layer(inputs().float())
    (z.square().sum() - log_det.sum()).backward()
    assert all((p.grad != 0).any() for p in layer.parameters())


def test_the_latent_begins_with_the_finest_level() -> None:
    model, x = scrambled(two_levels()), inputs()
    z, _ = model(x)
    fine, _ = model.levels[0](x)
    assert torch.equal(z[:, :16], fine[:, 2:].flatten(1))
    coarse, _ = model.levels[1](fine[:, :2])
    assert torch.equal(z[:, 16:], coarse.flatten(1))


def test_only_context_lets_a_coupling_see_the_far_corner() -> None:
    torch.manual_seed(0)
    x = torch.zeros(2, 2, 9, 9)
    x[1, :, 8, 8] = 100.0
    for context, sees in ((0, False), (4, True)):
        near, far = CouplingNet((2, 4), 5, (9, 9), context)(x)[:, :, 0, 0]
        assert (not torch.equal(near, far)) == sees
