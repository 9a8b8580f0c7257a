from __future__ import annotations

import torch
from torch import nn

from genfoundry.networks.posterior import PosteriorMean


def test_the_mean_is_the_first_half_of_what_the_encoder_says() -> None:
    image = torch.arange(12.0).reshape(2, 1, 2, 3)
    assert PosteriorMean(nn.Flatten())(image).tolist() == [[0.0, 1.0, 2.0], [6.0, 7.0, 8.0]]
