from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from genfoundry.contract import DataSpec, Graph
from genfoundry.models.flow import Flow
from genfoundry.networks.invertible import CouplingNet
from genfoundry.params import ParamsError
from genfoundry.pictures import to_bytes

SHAPES = [(1, 16, 16), (1, 8, 8), (3, 5, 5)]  # two levels, one, and one that cannot be squeezed


def flow(shape: tuple[int, int, int], alpha: float = 0.02) -> Flow:
    """In evaluation mode, with parameters away from their start."""
    torch.manual_seed(0)
    model = Flow(Flow.Params(alpha=alpha, depth=2, hidden=4, context=3), DataSpec(shape, ("zero", "one")))
    model.train().loss({"image": images(shape, 32)})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def images(shape: tuple[int, int, int], count: int) -> Tensor:
    """Of whole bytes."""
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(1)) / 255.0


def graph(model: Flow, name: str) -> Graph:
    return next(g for g in model.graphs() if g.name == name)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_is_the_change_of_variables_of_the_whole_model(shape: tuple[int, int, int]) -> None:
    model = flow(shape).double()
    image = images(shape, 2).double()
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = graph(model, "log_prob").module(image, noise)
    for x, u, log_prob in zip(image, noise, found, strict=True):
        y = 255.0 * x + u
        matrix = jacobian(lambda one: model.flow(one[None])[0][0], y, vectorize=True).flatten(1)
        z = model.flow(y[None])[0][0]
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
        torch.testing.assert_close(log_prob, normal + torch.linalg.slogdet(matrix).logabsdet, rtol=1e-9, atol=1e-7)


def test_the_density_of_two_pixels_integrates_to_one() -> None:
    """Over all bytes: the sum of the density in the middle of each bin."""
    shape = (2, 1, 1)
    torch.manual_seed(0)
    model = Flow(Flow.Params(alpha=0.001, depth=3, hidden=8, context=0), DataSpec(shape, ("zero", "one")))
    data = (128.0 + 20.0 * torch.randn(500, *shape)).round().clamp(0, 255) / 255.0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(30):  # away from the identity, and the data away from 0 and 256, where mass would leak out
        optimizer.zero_grad()
        model.loss({"image": data}).total.backward()
        optimizer.step()
    axis = torch.arange(256) / 255.0
    every = torch.cartesian_prod(axis, axis).reshape(-1, *shape)
    with torch.no_grad():
        log_prob = graph(model.eval(), "log_prob").module(every, torch.full_like(every, 0.5))
    assert log_prob.double().exp().sum().item() == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_decode_gives_back_the_bytes_that_encode_saw(shape: tuple[int, int, int]) -> None:
    model, x = flow(shape), images(shape, 8)
    with torch.no_grad():
        latent = graph(model, "encode").module(x)
        image = graph(model, "decode").module(latent)
    assert latent.shape == (8, math.prod(shape))
    assert (to_bytes(image.numpy()) == to_bytes(x.numpy())).all()


def test_far_noise_still_makes_images() -> None:
    with torch.no_grad():
        image = graph(flow((1, 8, 8)), "generate").module(30.0 * torch.randn(16, 64), torch.ones(16))
    assert 0.0 <= image.min() < image.max() <= 1.0


def test_a_temperature_scales_the_noise_of_samples() -> None:
    model, noise = flow((1, 8, 8)), torch.randn(4, 64)
    with torch.no_grad():
        cool = graph(model, "generate").module(noise, torch.full((4,), 0.5))
        decoded = graph(model, "decode").module(0.5 * noise)
    assert torch.equal(cool, decoded)


def test_samples_have_the_temperature_of_the_params() -> None:
    params = Flow.Params(alpha=0.02, depth=1, hidden=4, context=3, temperature=0.7)
    model = Flow(params, DataSpec((1, 8, 8), ("zero", "one")))
    assert graph(model, "generate").inputs["temperature"].default == 0.7


def test_bits_per_dim_are_the_nats_of_a_pixel_over_log_two() -> None:
    model, batch = flow((1, 8, 8)), {"image": images((1, 8, 8), 4)}
    loss = model.loss(batch)
    assert loss.watched["bits_per_dim"].item() == pytest.approx(loss.total.item() / 64 / math.log(2), rel=1e-6)


def test_a_single_channel_that_cannot_be_squeezed_is_refused() -> None:
    with pytest.raises(ParamsError, match="one of 9×9 pixels"):
        Flow(Flow.Params(alpha=0.01, depth=1, hidden=4, context=3), DataSpec((1, 9, 9), ("zero", "one")))


def test_each_level_is_wider_by_the_growth_and_the_weights_are_there_once() -> None:
    widths = {}
    for growth in (1, 3):
        params = Flow.Params(alpha=0.02, depth=1, hidden=4, growth=growth, context=0)
        model = Flow(params, DataSpec((1, 16, 16), ()))
        widths[growth] = [net.first.out_channels for net in model.modules() if isinstance(net, CouplingNet)]
        names = model.state_dict(keep_vars=True)
        assert len({id(tensor) for tensor in names.values()}) == len(names)
    assert widths == {1: [4, 4], 3: [4, 12]}
