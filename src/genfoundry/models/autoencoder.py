"""Autoencoder: an image through a narrow latent and back (Hinton & Salakhutdinov 2006)."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt
from torch import nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, squared_error
from genfoundry.networks.coder import Coder

RECONSTRUCTION = {
    "mse": lambda x, logits: squared_error(x, logits.sigmoid()),
    "bce": bernoulli_nll,
}


class Autoencoder(GenerativeModel):
    """Minimises the reconstruction error of a deterministic code."""

    class Params(Coder):
        """`loss` is the error of a pixel: squared, or the cross-entropy of a grey value in [0, 1]."""

        latent_dim: PositiveInt
        loss: Literal["mse", "bce"]

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.encoder = params.encoder(data.shape, params.latent_dim)
        # One sigmoid for both losses: its inverse is inside the cross-entropy, where it is stable.
        self.decoder = params.decoder(params.latent_dim, data.shape)

    def phases(self) -> tuple[Phase, ...]:
        """One: encoder and decoder together."""
        return (Phase("autoencoder", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """The reconstruction error, and the latent's spread to watch."""
        x = batch["image"]
        z = self.encoder(x)
        error = RECONSTRUCTION[self.params.loss](x, self.decoder(z)).mean()
        return Loss({"reconstruction": error}, {"latent_std": z.std(dim=0).mean()})

    def graphs(self) -> tuple[Graph, ...]:
        """`encode`, `decode` and both in one, `reconstruct`."""
        image = self.data.image
        latent = TensorSpec(("batch", self.params.latent_dim), "value")
        decode = nn.Sequential(self.decoder, nn.Sigmoid())
        return (
            Graph("encode", self.encoder, {"image": image}, {"latent": latent}),
            Graph("decode", decode, {"latent": latent}, {"image": image}),
            Graph(
                "reconstruct",
                nn.Sequential(self.encoder, decode),
                {"image": image},
                {"reconstruction": image},
            ),
        )
