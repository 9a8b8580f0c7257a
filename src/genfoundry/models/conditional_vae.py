"""Conditional variational autoencoder (Sohn, Lee & Yan 2015; model M2's generative half in Kingma et al. 2014)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, kl_standard_normal
from genfoundry.networks.convnet import ConvDecoder, ConvEncoder
from genfoundry.params import Strict


class LabelledDecoder(nn.Module):
    """z and a class → p(x | y, z)'s means, (N, latent_dim) and (N,) → (N, C, H, W) in [0, 1]."""

    def __init__(self, decoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.decoder, self.classes = decoder, classes

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """The class joins z as a one-hot vector."""
        return self.decoder(torch.cat([noise, one_hot(label, self.classes)], dim=1)).sigmoid()


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(N,) int64 → (N, classes) float32."""
    return F.one_hot(label, classes).float()


class ConditionalVAE(GenerativeModel):
    """Maximises E log p(x | y, z) − KL(q(z | x, y) ‖ p(z)): z keeps what the class does not say."""

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
        self.decoder = ConvDecoder(params.latent_dim + self.classes, data.shape, params.channels, params.features)

    def phases(self) -> tuple[Phase, ...]:
        """One: encoder and decoder together."""
        return (Phase("vae", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """−ELBO of log p(x | y), equation 5 of Sohn et al. with one sample of ε, in nats per image."""
        x, y = batch["image"], one_hot(batch["label"], self.classes)
        mean, log_var = self.posterior(torch.cat([self.body(x), y], dim=1)).chunk(2, dim=1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        nll = bernoulli_nll(x, self.decoder(torch.cat([z, y], dim=1)))
        return Loss({"nll": nll.mean(), "kl": kl_standard_normal(mean, log_var).mean()})

    def graphs(self) -> tuple[Graph, ...]:
        """`generate`: z from the prior and a class."""
        noise = TensorSpec(("batch", self.params.latent_dim), "normal")
        label = TensorSpec(("batch",), "label", high=self.classes, dtype="int64")
        decode = LabelledDecoder(self.decoder, self.classes)
        return (Graph("generate", decode, {"noise": noise, "label": label}, {"image": self.data.image}),)
