from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from genfoundry.networks.coder import Coder

SHAPE = (1, 12, 8)
KINDS = [Coder(channels=4, features=16), Coder(hidden=(16, 6))]


@pytest.mark.parametrize("coder", KINDS, ids=["convolutions", "perceptron"])
def test_the_decoder_mirrors_the_encoder(coder: Coder) -> None:
    encoder, decoder = coder.encoder(SHAPE, 3), coder.decoder(3, SHAPE)
    image = torch.rand(2, *SHAPE)
    assert encoder(image).shape == (2, 3)
    assert decoder(encoder(image)).shape == image.shape


def test_a_perceptron_has_the_widths_in_order_and_back() -> None:
    coder = Coder(hidden=(16, 6))
    sides = coder.encoder(SHAPE, 3), coder.decoder(3, SHAPE)
    widths = [[m.out_features for m in side.modules() if isinstance(m, nn.Linear)] for side in sides]
    assert widths == [[16, 6, 3], [6, 16, 96]]


@pytest.mark.parametrize(
    "widths",
    [{}, {"channels": 4}, {"features": 4}, {"hidden": (4,), "channels": 4}, {"hidden": (4,), "features": 4}],
)
def test_a_coder_is_of_one_kind(widths: dict) -> None:
    with pytest.raises(ValidationError, match="channels and features, or else hidden"):
        Coder(**widths)
