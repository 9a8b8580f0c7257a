"""Variational autoencoder (Kingma & Welling 2014; β of Higgins et al. 2017)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, gaussian_nll, kl_standard_normal
from genfoundry.networks.coder import Coder
from genfoundry.networks.posterior import PosteriorMean, reparameterised


class Bound(nn.Module):
    """Images and ε → the ELBO of each image, (N, C, H, W) and (N, latent_dim) → (N,) nats."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """One sample of z for each image, β = 1; of 8-bit values where the likelihood is Gaussian."""
        nll, kl, _ = self.vae.terms(image, noise, image)
        return -(nll + kl) - self.vae.log_volume


class Imputer(nn.Module):
    """Hidden pixels filled in by going round: encode, decode, keep what is known (Rezende 2014, appendix F).

    The chain takes means in place of samples, so that the same image is always filled the same way.
    """

    def __init__(self, reconstruct: nn.Module, rounds: int) -> None:
        super().__init__()
        self.reconstruct, self.rounds = reconstruct, rounds

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, C, H, W) and (N, 1, H, W), 1 where known → (N, C, H, W)."""
        x = image * mask
        for _ in range(self.rounds):
            x = image * mask + self.reconstruct(x) * (1.0 - mask)
        return x


class VAE(GenerativeModel):
    """Maximises the evidence lower bound by the reparameterised estimator."""

    class Params(Coder):
        """`likelihood` of a pixel given z: Bernoulli, or Gaussian of width `sigma`.

        `criterion`: z is inferred from the image or, so that `restore` undoes a degradation, from the degraded one.
        """

        latent_dim: PositiveInt
        likelihood: Literal["bernoulli", "gaussian"]
        sigma: float = Field(default=0.1, ge=1 / 64)  # a narrower density bounds no probability
        beta: float = Field(default=1.0, ge=0.0)
        imputation_rounds: PositiveInt = 10
        criterion: Literal["elbo", "denoising"] = "elbo"

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.evidence = "degraded" if params.criterion == "denoising" else "image"  # what z is inferred from
        self.needs = frozenset({"image", self.evidence})
        self.encoder = params.encoder(data.shape, 2 * params.latent_dim)
        self.decoder = params.decoder(params.latent_dim, data.shape)

    def phases(self) -> tuple[Phase, ...]:
        """One: encoder and decoder together."""
        return (Phase("vae", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """−ELBO in nats per image, equation 7 of Kingma & Welling with one sample of ε; the KL β times.

        With q(z | x̃) of a degraded x̃ in place of q(z | x): the denoising criterion, Im et al. 2017, equation 8.
        """
        x = batch["image"]
        noise = torch.randn(len(x), self.params.latent_dim, device=x.device)
        nll, kl, mean = self.terms(x, noise, batch[self.evidence])
        active = (mean.var(dim=0) > 0.01).float().mean()  # active units: Burda 2016, section 5.2
        watched = {"elbo": -(nll + kl).mean() - self.log_volume, "active_units": active}
        return Loss({"nll": nll.mean(), "kl": self.params.beta * kl.mean()}, watched)

    def terms(self, x: Tensor, noise: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """−log p(x | z) and KL(q(z | evidence) ‖ p(z)) in nats, (N,) each, and the posterior's mean."""
        mean, log_var = self.encoder(evidence).chunk(2, dim=1)
        logits = self.decoder(reparameterised(mean, log_var, noise))
        return self.nll(x, logits), kl_standard_normal(mean, log_var), mean

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        """−log p(x | z) in nats, (N,)."""
        if self.params.likelihood == "bernoulli":
            return bernoulli_nll(x, logits)
        return gaussian_nll(x, logits.sigmoid(), self.params.sigma)

    @property
    def log_volume(self) -> float:
        """log of the count of cells of [0, 1]^D, one for each image: what its density has more than its mass."""
        return 0.0 if self.params.likelihood == "bernoulli" else self.data.dims * math.log(self.data.levels - 1)

    def graphs(self) -> tuple[Graph, ...]:
        """From the prior, through the posterior's mean, by the chain of imputation or in one go, and the bound.

        `elbo` ships where it bounds a likelihood: Bernoulli pixels must be bits, Gaussian ones must not.
        """
        image = self.data.image
        shape = ("batch", self.params.latent_dim)
        encode, decode = PosteriorMean(self.encoder), nn.Sequential(self.decoder, nn.Sigmoid())
        reconstruct = nn.Sequential(encode, decode)
        prior, latent = TensorSpec(shape, "normal"), TensorSpec(shape, "value")
        graphs = (
            Graph("generate", decode, {"noise": prior}, {"image": image}),
            Graph("encode", encode, {"image": image}, {"latent": latent}),
            Graph("decode", decode, {"latent": latent}, {"image": image}),
            Graph("reconstruct", reconstruct, {"image": image}, {"reconstruction": image}),
            self.restore(reconstruct),
        )
        if (self.params.likelihood == "bernoulli") != (self.data.levels == 2):
            return graphs
        bound = {"elbo": TensorSpec(("batch",), "value")}
        return (*graphs, Graph("elbo", Bound(self), {"image": image, "noise": prior}, bound))

    def restore(self, reconstruct: nn.Module) -> Graph:
        """Hidden pixels filled in; or, of a model that infers from degraded images, degraded → clean."""
        image, restoration = {"image": self.data.image}, {"restoration": self.data.image}
        if self.params.criterion == "denoising":
            return Graph("restore", reconstruct, image, restoration)
        impute = Imputer(reconstruct, self.params.imputation_rounds)
        mask = TensorSpec(("batch", 1, *self.data.shape[1:]), "mask")
        return Graph("restore", impute, {**image, "mask": mask}, restoration)
