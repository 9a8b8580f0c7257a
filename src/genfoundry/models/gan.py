"""Generative adversarial network on multilayer perceptrons (Goodfellow et al. 2014)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec, lazily
from genfoundry.params import Strict


def mlp_generator(noise_dim: int, hidden: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """(N, noise_dim) → (N, C, H, W) in [0, 1]. BatchNorm keeps an MLP from collapsing to a few modes."""
    widths = [noise_dim, hidden, 2 * hidden]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=False), nn.BatchNorm1d(fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(shape)), nn.Unflatten(1, shape), nn.Sigmoid())


def mlp_discriminator(
    shape: tuple[int, int, int], hidden: int, dropout: float, spectral_norm: bool
) -> nn.Sequential:
    """(N, C, H, W) → logits (N, 1); with `spectral_norm` each layer is 1-Lipschitz (Miyato et al. 2018)."""
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), hidden),
        nn.LeakyReLU(0.2),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden // 2),
        nn.LeakyReLU(0.2),
        nn.Dropout(dropout),
        nn.Linear(hidden // 2, 1),
    )
    if spectral_norm:
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.utils.parametrizations.spectral_norm(layer)
    return network


class GAN(GenerativeModel):
    """Two players: D tells real from generated, G makes D err."""

    class Params(Strict):
        """`loss` names the game; `r1` and `gradient_penalty` weigh what holds the discriminator's slope down.

        R1 is lazy (Karras et al. 2020, section 3.1): every `r1_every` steps, and as much stronger.
        """

        noise_dim: PositiveInt
        generator_hidden: PositiveInt
        discriminator_hidden: PositiveInt
        dropout: float = Field(ge=0.0, lt=1.0)
        loss: Literal["minimax", "non_saturating", "hinge", "wasserstein"]
        spectral_norm: bool = False
        r1: float = Field(default=0.0, ge=0.0)
        r1_every: PositiveInt = 4
        gradient_penalty: float = Field(default=0.0, ge=0.0)

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.generator = mlp_generator(params.noise_dim, params.generator_hidden, data.shape)
        self.discriminator = mlp_discriminator(
            data.shape, params.discriminator_hidden, params.dropout, params.spectral_norm
        )

    def phases(self) -> tuple[Phase, ...]:
        """Algorithm 1 with k = 1: the discriminator, where asked for its regularisation, then the generator."""
        r1 = Phase("discriminator", self.discriminator, self.r1_loss)
        return (
            Phase("discriminator", self.discriminator, self.discriminator_loss),
            *lazily(r1, self.params.r1, self.params.r1_every),
            Phase("generator", self.generator, self.generator_loss),
        )

    def sample(self, like: Tensor) -> Tensor:
        """As many images as `like` holds."""
        return self.generator(torch.randn(len(like), self.params.noise_dim, device=like.device))

    def discriminator_loss(self, batch: Batch) -> Loss:
        """Real against generated, with no gradient to G."""
        x = batch["image"]
        with torch.no_grad():
            fake = self.sample(x)
        loss = losses.DISCRIMINATOR[self.params.loss](self.discriminator(x), self.discriminator(fake))
        if not self.params.gradient_penalty:
            return loss
        penalty = self.params.gradient_penalty * losses.gradient_penalty(self.discriminator, x, fake)
        return Loss({**loss.terms, "gradient_penalty": penalty}, loss.watched)

    def r1_loss(self, batch: Batch) -> Loss:
        """At real images: Mescheder, Geiger & Nowozin 2018, equation 9."""
        return Loss({"r1": losses.r1(self.discriminator, batch["image"])})

    def generator_loss(self, batch: Batch) -> Loss:
        """The generator's side of the game, and where logits mean probabilities, how much it can still learn."""
        fake_logits = self.discriminator(self.sample(batch["image"]))
        probable = losses.DISCRIMINATOR[self.params.loss] is losses.discriminator
        watched = losses.saturation(fake_logits) if probable else {}
        return Loss({"adversarial": losses.GENERATOR[self.params.loss](fake_logits)}, watched)

    def graphs(self) -> tuple[Graph, ...]:
        """`generate` alone: the discriminator does not ship."""
        noise = TensorSpec(("batch", self.params.noise_dim), "normal")
        return (Graph("generate", self.generator, {"noise": noise}, {"image": self.data.image}),)
