"""An encoder and its mirror: convolutions, or the perceptrons of the first autoencoders."""

from __future__ import annotations

import math

from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import nn

from genfoundry.networks.convnet import ConvDecoder, ConvEncoder
from genfoundry.networks.perceptron import mlp
from genfoundry.params import Strict


class Coder(Strict):
    """Widths of convolutions, `channels` at half size, doubled with each halving, and of a layer of `features`.

    Or those of a perceptron, `hidden`, from the image to the latent.
    """

    channels: NonNegativeInt = 0
    features: NonNegativeInt = 0
    hidden: tuple[PositiveInt, ...] = ()

    @model_validator(mode="after")
    def _of_one_kind(self) -> Coder:
        convolutions = [self.channels > 0, self.features > 0]
        if convolutions != [not self.hidden] * 2:
            raise ValueError("it has channels and features, or else hidden, with the other two 0")
        return self

    def encoder(self, shape: tuple[int, int, int], out: int) -> nn.Sequential:
        """(N, C, H, W) → (N, out)."""
        if self.hidden:
            return nn.Sequential(nn.Flatten(), mlp(math.prod(shape), *self.hidden, out, activation=nn.Tanh))
        return nn.Sequential(ConvEncoder(shape, self.channels, self.features), nn.Linear(self.features, out))

    def decoder(self, latent_dim: int, shape: tuple[int, int, int]) -> nn.Module:
        """(N, latent_dim) → logits or values (N, C, H, W)."""
        if self.hidden:
            layers = mlp(latent_dim, *reversed(self.hidden), math.prod(shape), activation=nn.Tanh)
            return nn.Sequential(layers, nn.Unflatten(1, shape))
        return ConvDecoder(latent_dim, shape, self.channels, self.features)
