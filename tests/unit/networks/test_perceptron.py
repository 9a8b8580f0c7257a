from __future__ import annotations

import torch
from torch import nn

from genfoundry.networks.perceptron import mlp


def test_hidden_layers_alone_are_activated() -> None:
    net, x = mlp(3, 5, 4, 2, activation=nn.Tanh, dropout=0.5).eval(), torch.randn(6, 3)
    first, second, last = (layer for layer in net if isinstance(layer, nn.Linear))
    torch.testing.assert_close(net(x), last(second(first(x).tanh()).tanh()))
    assert not torch.equal(net.train()(x), net(x))


def test_without_hidden_layers_it_is_linear() -> None:
    (only,) = mlp(3, 2, activation=nn.Tanh)
    assert isinstance(only, nn.Linear)
