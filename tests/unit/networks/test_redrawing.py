from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.networks.redrawing import REACH, RedrawingGenerator, between, middles

SHAPE = (3, 16, 24)
FEATURES = 8


def generator(dropout: float = 0.0) -> RedrawingGenerator:
    torch.manual_seed(0)
    return RedrawingGenerator(SHAPE, channels=4, features=FEATURES, colours=6, dropout=dropout)


def moving() -> RedrawingGenerator:
    """One that no longer leaves an image where it is."""
    net = generator()
    nn.init.normal_(net.place.weight)
    return net


def images() -> Tensor:
    return torch.rand(2, *SHAPE)


def test_between_its_pixels_a_row_is_interpolated_and_beyond_them_it_is_their_last() -> None:
    row = torch.tensor([0.0, 1.0, 4.0, 9.0])
    where = torch.cat([middles(4), torch.tensor([-0.5, 0.0, -3.0, 3.0])]).view(2, 4)
    expected = torch.tensor([[0.0, 1.0, 4.0, 9.0], [0.5, 2.5, 0.0, 9.0]])
    torch.testing.assert_close(between(where) @ row, expected)


def test_an_image_is_sampled_as_by_an_affine_grid() -> None:
    net, x, code = moving(), images(), torch.randn(2, FEATURES)
    scale_y, scale_x, shift_y, shift_x = (REACH * torch.tanh(net.place(code))).unbind(dim=1)
    zero = torch.zeros(2)
    theta = torch.stack([1.0 + scale_x, zero, shift_x, zero, 1.0 + scale_y, shift_y], dim=1).view(2, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    expected = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(net.moved(x, code), expected, rtol=0.0, atol=1e-5)


def test_a_new_one_changes_little_and_can_learn_to_move() -> None:
    net, x = generator(), images()
    new = net(x)
    assert (new - x).abs().mean() < 0.1
    new.square().mean().backward()
    assert net.place.bias.grad is not None
    assert (net.place.bias.grad != 0.0).all()


def test_equal_colours_stay_equal_and_each_image_has_colours_of_its_own() -> None:
    net = generator()
    nn.init.normal_(net.outer.weight)
    flat = torch.rand(1, 3, 1, 1).expand(2, *SHAPE)
    new = net.recoloured(flat, torch.randn(2, FEATURES))
    torch.testing.assert_close(new, new[:, :, :1, :1].expand_as(new))
    assert not torch.allclose(new[0], new[1])


def test_what_leaves_is_an_image() -> None:
    net = moving()
    nn.init.normal_(net.outer.weight, std=10.0)
    new = net(images())
    assert new.shape == (2, *SHAPE)
    assert new.min() >= 0.0
    assert new.max() <= 1.0


def test_dropout_rests_in_evaluation() -> None:
    net, x = generator(dropout=0.5), images()
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
