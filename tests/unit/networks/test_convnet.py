from __future__ import annotations

import pytest
import torch

from genfoundry.networks.convnet import ConvDecoder, ConvEncoder, halvings


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
