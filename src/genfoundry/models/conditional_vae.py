"""Conditional variational autoencoder (Sohn, Lee & Yan 2015; model M2's generative half in Kingma et al. 2014)."""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, kl_normal
from genfoundry.networks.convnet import ConvDecoder, ConvEncoder
from genfoundry.networks.posterior import reparameterised
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


class Bound(nn.Module):
    """Images, their classes and ε → the ELBO of log p(x | y) of each image, (N,) nats."""

    def __init__(self, model: ConditionalVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, label: Tensor, noise: Tensor) -> Tensor:
        """(N, C, H, W), (N,) int64 and (N, latent_dim) → (N,): Sohn et al. 2015, equation 4, one sample of z."""
        nll, kl = self.model.terms(image, label, noise)
        return -(nll + kl)


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(N,) int64 → (N, classes) float32."""
    return F.one_hot(label, classes).float()


class ConditionalVAE(GenerativeModel):
    """Maximises E log p(x | y, z) − KL(q(z | x, y) ‖ p(z | y)), with a prior that is learnt for each class.

    The class is worth few of the bound's nats and z takes it over; a classifier that has to recognise it in samples
    gives it back (Hu et al. 2017, section 3.2).
    """

    class Params(Strict):
        """As a VAE's, with Bernoulli pixels; `control` weighs the classifier's verdict in nats."""

        latent_dim: PositiveInt
        channels: PositiveInt
        features: PositiveInt
        control: float = Field(ge=0.0)

    needs = frozenset({"image", "label"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data, self.classes = params, data, len(data.classes)
        latent_dim, features = params.latent_dim, params.features
        self.vae = nn.ModuleDict(
            {
                "body": ConvEncoder(data.shape, params.channels, features),
                "posterior": nn.Linear(features + self.classes, 2 * latent_dim),
                "prior": nn.Linear(self.classes, 2 * latent_dim),
                "decoder": ConvDecoder(latent_dim + self.classes, data.shape, params.channels, features),
            }
        )
        body = ConvEncoder(data.shape, params.channels, features)
        self.classifier = nn.Sequential(body, nn.Linear(features, self.classes))
        self.sampler = LabelledDecoder(self.vae["prior"], self.vae["decoder"], self.classes)

    def phases(self) -> tuple[Phase, ...]:
        """The classifier on real images, then encoder, decoder and prior together."""
        return (
            Phase("classifier", self.classifier, self.classifier_loss),
            Phase("vae", self.vae, self.loss),
        )

    def classifier_loss(self, batch: Batch) -> Loss:
        """Cross-entropy in nats."""
        return Loss({"cross_entropy": F.cross_entropy(self.classifier(batch["image"]), batch["label"])})

    def loss(self, batch: Batch) -> Loss:
        """−ELBO of log p(x | y), equation 4 of Sohn et al., and −log q(y | x′) of samples x′, in nats."""
        x, label = batch["image"], batch["label"]
        nll, kl = self.terms(x, label, self.noise(x))
        verdict = self.classifier(self.sampler(self.noise(x), label))
        return Loss(
            {"nll": nll.mean(), "kl": kl.mean(), "control": self.params.control * F.cross_entropy(verdict, label)},
            {"recognised": (verdict.argmax(dim=1) == label).float().mean()},
        )

    def terms(self, x: Tensor, label: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """−log p(x | y, z) and KL(q(z | x, y) ‖ p(z | y)) in nats, (N,) each."""
        y = one_hot(label, self.classes)
        mean, log_var = self.vae["posterior"](torch.cat([self.vae["body"](x), y], dim=1)).chunk(2, dim=1)
        z = reparameterised(mean, log_var, noise)
        nll = bernoulli_nll(x, self.vae["decoder"](torch.cat([z, y], dim=1)))
        return nll, kl_normal(mean, log_var, *self.vae["prior"](y).chunk(2, dim=1))

    def noise(self, x: Tensor) -> Tensor:
        """ε for each of (N, C, H, W) images, (N, latent_dim)."""
        return torch.randn(len(x), self.params.latent_dim, device=x.device)

    def graphs(self) -> tuple[Graph, ...]:
        """`generate`: z from its class's prior; `elbo` where pixels are bits, as the likelihood is."""
        noise = TensorSpec(("batch", self.params.latent_dim), "normal")
        label = TensorSpec(("batch",), "label", high=self.classes, dtype="int64")
        image = self.data.image
        generate = Graph("generate", self.sampler, {"noise": noise, "label": label}, {"image": image})
        if self.data.levels != 2:
            return (generate,)
        inputs = {"image": image, "label": label, "noise": noise}
        return (generate, Graph("elbo", Bound(self), inputs, {"elbo": TensorSpec(("batch",), "value")}))
