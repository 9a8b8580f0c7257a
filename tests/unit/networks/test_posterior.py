from __future__ import annotations

import torch
from torch import nn

from genfoundry.networks.posterior import PosteriorMean, reparameterised


def test_the_mean_is_the_first_half_of_what_the_encoder_says() -> None:
    image = torch.arange(12.0).reshape(2, 1, 2, 3)
    assert PosteriorMean(nn.Flatten())(image).tolist() == [[0.0, 1.0, 2.0], [6.0, 7.0, 8.0]]


def test_a_sample_has_the_mean_and_the_variance_asked_for() -> None:
    torch.manual_seed(0)
    mean, log_var = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.4]])
    z = reparameterised(mean, log_var, torch.randn(20000, 2))
    torch.testing.assert_close(z.mean(dim=0), mean[0], atol=0.05, rtol=0.0)
    torch.testing.assert_close(z.var(dim=0), log_var.exp()[0], atol=0.0, rtol=0.05)
