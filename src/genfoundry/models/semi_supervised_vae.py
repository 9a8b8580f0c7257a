"""Semi-supervised learning with deep generative models (Kingma, Rezende, Mohamed & Welling 2014): M2 and M1+M2."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import bernoulli_nll, kl_standard_normal, normal_nll
from genfoundry.networks.perceptron import mlp
from genfoundry.networks.posterior import PosteriorMean, reparameterised
from genfoundry.params import Strict

smooth = partial(mlp, activation=nn.Softplus)  # section 4


class Joined(nn.Module):
    """A vector and a class → a vector. Both broadcast: the first layer sees a vector once for all its classes."""

    def __init__(self, width: int, classes: int, hidden: int, out: int) -> None:
        super().__init__()
        self.vector, self.label = nn.Linear(width, hidden), nn.Linear(classes, hidden, bias=False)
        self.out = nn.Sequential(nn.Softplus(), nn.Linear(hidden, out))

    def forward(self, vector: Tensor, y: Tensor) -> Tensor:
        """(..., width) and (..., classes) → (..., out)."""
        return self.out(self.vector(vector) + self.label(y))


class LatentFeatures(nn.Module):
    """M1: a VAE, whose latent z₁ then stands for the image."""

    def __init__(self, shape: tuple[int, int, int], latent_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        pixels = math.prod(shape)
        self.encoder = nn.Sequential(nn.Flatten(), smooth(pixels, hidden, hidden, 2 * latent_dim, dropout=dropout))
        self.decoder = nn.Sequential(smooth(latent_dim, hidden, hidden, pixels), nn.Unflatten(1, shape))

    @torch.no_grad()
    def sample(self, image: Tensor) -> Tensor:
        """z₁ ~ q(z₁ | x) of equation 3, (N, latent_dim): data to M2, so no gradient comes back."""
        mean, log_var = self.encoder(image).chunk(2, dim=1)
        return reparameterised(mean, log_var, torch.randn_like(mean))

    def loss(self, batch: Batch) -> Loss:
        """J(x) of equation 5, in nats."""
        x = batch["image"]
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        logits = self.decoder(reparameterised(mean, log_var, torch.randn_like(mean)))
        return Loss({"nll": bernoulli_nll(x, logits).mean(), "kl": kl_standard_normal(mean, log_var).mean()})


class PixelSampler(nn.Module):
    """ε and a class → the means of p(x | y, z = ε), equation 2."""

    def __init__(self, decoder: nn.Module, data: DataSpec) -> None:
        super().__init__()
        self.decoder, self.data = decoder, data

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(N, latent_dim) and (N,) int64 → (N, C, H, W) in [0, 1]."""
        y = F.one_hot(label, len(self.data.classes)).float()
        return self.decoder(noise, y).sigmoid().unflatten(1, self.data.shape)


class StackedSampler(nn.Module):
    """ε and a class → the means of p(x | z₁) for a sample of p(z₁ | y, z₂): the end of section 2.1."""

    def __init__(self, decoder: nn.Module, images: nn.Module, latent_dim: int, classes: int) -> None:
        super().__init__()
        self.decoder, self.images, self.latent_dim, self.classes = decoder, images, latent_dim, classes

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(N, latent_dim of z₂ + latent_dim of z₁) and (N,) int64 → (N, C, H, W) in [0, 1]."""
        y = F.one_hot(label, self.classes).float()
        mean, log_var = self.decoder(noise[:, : self.latent_dim], y).chunk(2, dim=1)
        return self.images(reparameterised(mean, log_var, noise[:, self.latent_dim :])).sigmoid()


class LatentModel(Strict):
    """M1's sizes, and the step at which its training ends, if before the run's."""

    latent_dim: PositiveInt
    hidden: PositiveInt
    stop: PositiveInt | None = None


class SemiSupervisedVAE(GenerativeModel):
    """M2: p(x, y, z) fitted to a few images with a class and many without; q(y | x) classifies.

    With M1 below it, M2 sees z₁ ~ q(z₁ | x) in place of x.
    """

    class Params(Strict):
        """M2's sizes, from which step it is trained, and the weights of its terms.

        In the paper a labelled image's bound counts as much as any other's, and α is 0.1 N: beside means over
        images, 0.1. With 1 for both, the few labels shape M2 in thousands of steps instead of millions.
        """

        m1: LatentModel | None  # without it M2 models pixels
        latent_dim: PositiveInt
        hidden: PositiveInt
        dropout: float = Field(default=0.0, ge=0.0, lt=1.0)  # in the classifier
        objective: Literal["semi_supervised", "supervised"]  # the latter: the classifier alone, from labels alone
        start: int = Field(default=0, ge=0)
        labelled: float = Field(default=1.0, ge=0.0)  # of the bound on images with a class
        alpha: float = Field(default=1.0, ge=0.0)  # of the classification loss

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data, self.classes = params, data, len(data.classes)
        self.supervised = params.objective == "supervised"
        self.needs = frozenset({"labelled", "label"} if self.supervised else {"image", "labelled", "label"})
        self.m1 = self.below(params.m1) if params.m1 else None
        width = params.m1.latent_dim if params.m1 else data.dims
        out = 2 * width if params.m1 else width  # mean and log-variance, or logits of pixels
        self.m2 = nn.ModuleDict(
            {
                "classifier": smooth(width, params.hidden, self.classes, dropout=params.dropout),
                "encoder": Joined(width, self.classes, params.hidden, 2 * params.latent_dim),
                "decoder": Joined(params.latent_dim, self.classes, params.hidden, out),
            }
        )

    def below(self, m1: LatentModel) -> LatentFeatures:
        """M1; labels alone train its encoder as a part of the classifier."""
        dropout = self.params.dropout if self.supervised else 0.0
        return LatentFeatures(self.data.shape, m1.latent_dim, m1.hidden, dropout)

    @property
    def network(self) -> nn.Sequential:
        """All that stands between an image and its logits."""
        features = PosteriorMean(self.m1.encoder) if self.m1 else nn.Flatten()
        return nn.Sequential(features, self.m2["classifier"])

    def phases(self) -> tuple[Phase, ...]:
        """M1, then M2 on what it left; or the classifier alone."""
        if self.supervised:
            return (Phase("classifier", self.network, self.supervised_loss),)
        m2 = Phase("m2", self.m2, self.loss, start=self.params.start)
        if self.m1 is None or self.params.m1 is None:
            return (m2,)
        return (Phase("m1", self.m1, self.m1.loss, stop=self.params.m1.stop), m2)

    def supervised_loss(self, batch: Batch) -> Loss:
        """Cross-entropy in nats."""
        return Loss({"cross_entropy": F.cross_entropy(self.network(batch["labelled"]), batch["label"])})

    def loss(self, batch: Batch) -> Loss:
        """Jα of equation 9 in nats, with means where the paper has sums over the data set."""
        few, label, many = self.seen(batch["labelled"]), batch["label"], self.seen(batch["image"])
        labelled = self.bounds(few, F.one_hot(label, self.classes)[:, None])
        unlabelled, entropy = self.marginal(many)
        logits = self.m2["classifier"](few)
        terms = {
            "unlabelled": unlabelled.mean(),
            "labelled": self.params.labelled * labelled.mean(),
            "classification": self.params.alpha * F.cross_entropy(logits, label),
        }
        right = (logits.argmax(dim=1) == label).float().mean()
        return Loss(terms, {"entropy": entropy.mean(), "labelled_accuracy": right})

    def seen(self, image: Tensor) -> Tensor:
        """What M2 models in place of images: a sample of z₁, or the pixels; (N, C, H, W) → (N, width)."""
        return self.m1.sample(image) if self.m1 else image.flatten(1)

    def marginal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """U(x) of equation 7 and the entropy of q(y | x) in it, in nats; (N, width) → (N,) twice."""
        log_q = self.m2["classifier"](x).log_softmax(dim=1)
        every_class = torch.eye(self.classes, device=x.device)[None]
        entropy = -(log_q.exp() * log_q).sum(dim=1)
        return (log_q.exp() * self.bounds(x, every_class)).sum(dim=1) - entropy, entropy

    def bounds(self, x: Tensor, y: Tensor) -> Tensor:
        """L(x, y) of equation 6 for each class asked, (N, width) and (N or 1, K, classes) → (N, K) nats.

        An image's classes share one draw of noise, so that they differ by the class alone; p(y) is uniform.
        """
        y = y.float().expand(len(x), -1, -1)
        mean, log_var = self.m2["encoder"](x[:, None], y).chunk(2, dim=2)
        z = reparameterised(mean, log_var, torch.randn(len(x), 1, self.params.latent_dim, device=x.device))
        x_hat = self.m2["decoder"](z, y).flatten(0, 1)
        nll = self.nll(x.repeat_interleave(y.shape[1], dim=0), x_hat)
        kl = kl_standard_normal(mean.flatten(0, 1), log_var.flatten(0, 1))
        return (nll + kl).unflatten(0, y.shape[:2]) + math.log(self.classes)

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−log p(x | y, z) in nats from the decoder's output, (N,)."""
        return normal_nll(x, *x_hat.chunk(2, dim=1)) if self.m1 else bernoulli_nll(x, x_hat)

    def graphs(self) -> tuple[Graph, ...]:
        """`classify` through E[z₁ | x]; `generate` from all priors, where they were trained."""
        logits = TensorSpec(("batch", self.classes), "value")
        classify = Graph("classify", self.network, {"image": self.data.image}, {"logits": logits})
        if self.supervised:
            return (classify,)
        width = self.params.latent_dim + (self.params.m1.latent_dim if self.params.m1 else 0)
        noise = TensorSpec(("batch", width), "normal")
        label = TensorSpec(("batch",), "label", high=self.classes, dtype="int64")
        generate = Graph("generate", self.sampler(), {"noise": noise, "label": label}, {"image": self.data.image})
        return (generate, classify)

    def sampler(self) -> nn.Module:
        """Noise and a class → an image."""
        decoder = self.m2["decoder"]
        if self.m1 is None:
            return PixelSampler(decoder, self.data)
        return StackedSampler(decoder, self.m1.decoder, self.params.latent_dim, self.classes)
