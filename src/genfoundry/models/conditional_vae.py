"""Conditional variational autoencoder (Sohn, Lee & Yan 2015; model M2's generative half in Kingma et al. 2014)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, kl_normal
from genfoundry.networks.convnet import ConvDecoder, ConvEncoder
from genfoundry.params import Strict


class LabelledDecoder(nn.Module):
    """ε and a class → p(x | y, z)'s means, for z drawn from p(z | y)."""

    def __init__(self, prior: nn.Module, decoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.prior, self.decoder, self.classes = prior, decoder, classes

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(N, latent_dim) and (N,) int64 → (N, C, H, W) in [0, 1]."""
        y = one_hot(label, self.classes)
        mean, log_var = self.prior(y).chunk(2, dim=1)
        z = reparameterised(mean, log_var, noise)
        return self.decoder(torch.cat([z, y], dim=1)).sigmoid()


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(N,) int64 → (N, classes) float32."""
    return F.one_hot(label, classes).float()


def reparameterised(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """A sample of N(mean, exp(log_var)) as a function of standard noise, all (N, latent_dim)."""
    return mean + (0.5 * log_var).exp() * noise


class ConditionalVAE(GenerativeModel):
    """Maximises E log p(x | y, z) − KL(q(z | x, y) ‖ p(z | y)), with a prior that is learnt for each class."""

    class Params(Strict):
        """As a VAE's; pixels are Bernoulli."""

        latent_dim: PositiveInt
        channels: PositiveInt
        features: PositiveInt

    needs: ClassVar[frozenset[str]] = frozenset({"image", "label"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data, self.classes = params, data, len(data.classes)
        self.body = ConvEncoder(data.shape, params.channels, params.features)
        self.posterior = nn.Linear(params.features + self.classes, 2 * params.latent_dim)
        self.prior = nn.Linear(self.classes, 2 * params.latent_dim)
        self.decoder = ConvDecoder(params.latent_dim + self.classes, data.shape, params.channels, params.features)

    def phases(self) -> tuple[Phase, ...]:
        """One: encoder and decoder together."""
        return (Phase("vae", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """−ELBO of log p(x | y), equation 4 of Sohn et al. with one sample of ε, in nats per image."""
        x, y = batch["image"], one_hot(batch["label"], self.classes)
        mean, log_var = self.posterior(torch.cat([self.body(x), y], dim=1)).chunk(2, dim=1)
        z = reparameterised(mean, log_var, torch.randn_like(mean))
        nll = bernoulli_nll(x, self.decoder(torch.cat([z, y], dim=1)))
        kl = kl_normal(mean, log_var, *self.prior(y).chunk(2, dim=1))
        return Loss({"nll": nll.mean(), "kl": kl.mean()})

    def graphs(self) -> tuple[Graph, ...]:
        """`generate`: z from its class's prior."""
        noise = TensorSpec(("batch", self.params.latent_dim), "normal")
        label = TensorSpec(("batch",), "label", high=self.classes, dtype="int64")
        decode = LabelledDecoder(self.prior, self.decoder, self.classes)
        return (Graph("generate", decode, {"noise": noise, "label": label}, {"image": self.data.image}),)
