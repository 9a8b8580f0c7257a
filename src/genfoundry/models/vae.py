"""Variational autoencoder (Kingma & Welling 2014; β of Higgins et al. 2017)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, gaussian_nll, kl_standard_normal
from genfoundry.networks.convnet import ConvDecoder, ConvEncoder
from genfoundry.params import Strict


class PosteriorMean(nn.Module):
    """Images → E[z | x], (N, C, H, W) → (N, latent_dim)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        """The first half of the encoder's output; the second is the log-variance."""
        return self.encoder(image).chunk(2, dim=1)[0]


class VAE(GenerativeModel):
    """Maximises the evidence lower bound by the reparameterised estimator."""

    class Params(Strict):
        """`likelihood` of a pixel given z: Bernoulli, or Gaussian of width `sigma`."""

        latent_dim: PositiveInt
        channels: PositiveInt
        features: PositiveInt
        likelihood: Literal["bernoulli", "gaussian"]
        sigma: PositiveFloat = 0.1
        beta: float = Field(default=1.0, ge=0.0)

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.encoder = nn.Sequential(
            ConvEncoder(data.shape, params.channels, params.features),
            nn.Linear(params.features, 2 * params.latent_dim),
        )
        self.decoder = ConvDecoder(params.latent_dim, data.shape, params.channels, params.features)

    def phases(self) -> tuple[Phase, ...]:
        """One: encoder and decoder together."""
        return (Phase("vae", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """−ELBO in nats per image, equation 7 of Kingma & Welling with one sample of ε."""
        x = batch["image"]
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        nll, kl = self.nll(x, self.decoder(z)), kl_standard_normal(mean, log_var)
        active = (mean.var(dim=0) > 0.01).float().mean()  # active units: Burda 2016, section 5.2
        return Loss({"nll": nll, "kl": self.params.beta * kl}, {"elbo": -(nll + kl), "active_units": active})

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        """−log p(x | z) in nats, mean over the batch."""
        if self.params.likelihood == "bernoulli":
            return bernoulli_nll(x, logits)
        return gaussian_nll(x, logits.sigmoid(), self.params.sigma)

    def graphs(self) -> tuple[Graph, ...]:
        """`generate` from the prior; `encode` to the posterior's mean; `decode`; `reconstruct` through the mean."""
        image = self.data.image
        shape = ("batch", self.params.latent_dim)
        encode, decode = PosteriorMean(self.encoder), nn.Sequential(self.decoder, nn.Sigmoid())
        prior, latent = TensorSpec(shape, "normal"), TensorSpec(shape, "value")
        return (
            Graph("generate", decode, {"noise": prior}, {"image": image}),
            Graph("encode", encode, {"image": image}, {"latent": latent}),
            Graph("decode", decode, {"latent": latent}, {"image": image}),
            Graph("reconstruct", nn.Sequential(encode, decode), {"image": image}, {"reconstruction": image}),
        )
