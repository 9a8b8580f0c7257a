from __future__ import annotations

import pytest
import torch

from genfoundry.networks.convnet import ConvDecoder, ConvEncoder, halvings, shifted


@pytest.mark.parametrize(
    ("size", "count"),
    [((28, 28), 2), ((32, 32), 3), ((64, 32), 3), ((30, 30), 1), ((9, 8), 0), ((4, 4), 0), ((8, 8), 1)],
)
def test_sides_are_halved_while_both_are_even_and_not_too_small(size: tuple[int, int], count: int) -> None:
    assert halvings(*size) == count


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 8), (1, 28, 28), (1, 9, 9)])
def test_decoder_mirrors_the_encoder(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape)
    features = ConvEncoder(shape, channels=2, features=5)(x)
    assert features.shape == (2, 5)
    assert ConvDecoder(5, shape, channels=2, features=6)(features).shape == x.shape


def test_a_shift_goes_its_share_of_the_way_to_white_or_black() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 4, 4)
    ends = {0.0: image, 1.0: torch.ones_like(image), -1.0: torch.zeros_like(image)}
    for share, expected in ends.items():
        torch.testing.assert_close(shifted(image, torch.full_like(image, share)), expected)
    torch.testing.assert_close(shifted(image, torch.full_like(image, 0.5)), 0.5 * image + 0.5)
    torch.testing.assert_close(shifted(image, torch.full_like(image, -0.5)), 0.5 * image)


def test_each_pixel_of_a_shift_can_move_wherever_it_is() -> None:
    torch.manual_seed(0)
    share = (2.0 * torch.rand(1, 1, 8, 8) - 1.0).requires_grad_()
    (slope,) = torch.autograd.grad(shifted(torch.rand(1, 1, 8, 8), share).sum(), share)
    assert (slope > 0).all()
