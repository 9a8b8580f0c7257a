"""StyleGAN (Karras, Laine & Aila 2019) as revised by Karras et al. 2020."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec, lazily
from genfoundry.networks.stylegan import Discriminator, Generator, Mapping, Synthesis, mixed, widths
from genfoundry.params import Strict

AVERAGE_DECAY = 0.995  # of w's average
LENGTH_DECAY = 0.99  # of the path lengths' average
LENGTH_SHARE = 2  # a batch's part that paths are measured on: half, as in the authors' code


class StyleGAN(GenerativeModel):
    """DCGAN's game with a generator that is told what to make at each resolution.

    It works on the next power of two from the data's sides, 32×32 for 28×28: the image is cut out of its centre,
    and the discriminator sees images, real and generated, with a black margin.
    """

    class Params(Strict):
        """A network's `channels` are its width next to the image; it doubles with each halving up to `widest`.

        Where its `patch` is over 1, pixels leave or enter in blocks of `patch` × `patch`, which spares fine layers.
        `mapping_rate` is the mapping's rate of learning beside the synthesis's (Karras 2019, appendix C). `r1` is γ
        of pixels in [0, 1]; it and `path_length` are applied every so many steps, and as much stronger.
        """

        latent_dim: PositiveInt  # of z and w
        mapping_layers: PositiveInt
        mapping_rate: float = Field(default=0.01, gt=0.0)
        generator_channels: PositiveInt
        discriminator_channels: PositiveInt
        widest: PositiveInt
        generator_patch: Literal[1, 2, 4, 8] = 1
        discriminator_patch: Literal[1, 2, 4, 8] = 1
        style_mixing: float = Field(default=0.9, ge=0.0, le=1.0)  # share of the images
        r1: float = Field(ge=0.0)
        r1_every: PositiveInt = 16
        path_length: float = Field(default=2.0, ge=0.0)
        path_length_every: PositiveInt = 8

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        shape, widest, patch = data.shape, params.widest, params.generator_patch
        mapping = Mapping(params.latent_dim, params.mapping_layers, params.mapping_rate)
        wide = widths(shape, params.generator_channels, widest, patch)
        self.generator = Generator(mapping, Synthesis(shape, wide, patch, params.latent_dim))
        wide = widths(shape, params.discriminator_channels, widest, params.discriminator_patch)
        self.discriminator = Discriminator(shape, wide, params.discriminator_patch)
        self.mean_length: Tensor
        self.register_buffer("mean_length", torch.zeros(()))  # a of equation 4

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, then the generator, each with its lazy regularisation: Karras 2020, section 3.1."""
        params = self.params
        r1 = Phase("discriminator", self.discriminator, self.r1_loss)
        path = Phase("generator", self.generator, self.path_length_loss)
        return (
            Phase("discriminator", self.discriminator, self.discriminator_loss),
            *lazily(r1, params.r1, params.r1_every),
            Phase("generator", self.generator, self.generator_loss),
            *lazily(path, params.path_length, params.path_length_every),
        )

    def sample(self, like: Tensor) -> Tensor:
        """As many images as `like` holds, some of two styles."""
        z = torch.randn(2, len(like), self.params.latent_dim, device=like.device)
        first, second = self.generator.mapping(z.flatten(0, 1)).chunk(2)
        self.generator.mapping.track(first, AVERAGE_DECAY)
        chance, share = torch.rand(2, len(like), device=like.device)
        crossover = torch.where(chance < self.params.style_mixing, share, 1.0)
        return self.drawn(mixed(first, second, crossover, self.layers))

    def drawn(self, w: Tensor) -> Tensor:
        """(N, layers, latent_dim) → (N, C, H, W), with fresh noise."""
        synthesis = self.generator.synthesis
        return synthesis(w, torch.randn(len(w), synthesis.noise_dim, device=w.device))

    @property
    def layers(self) -> int:
        """How many of the synthesis have a style."""
        return len(self.generator.synthesis.layers)

    def discriminator_loss(self, batch: Batch) -> Loss:
        """Goodfellow's, which the papers call logistic."""
        x = batch["image"]
        with torch.no_grad():
            fake = self.sample(x)
        return losses.discriminator(self.discriminator(x), self.discriminator(fake))

    def r1_loss(self, batch: Batch) -> Loss:
        """At real images: Mescheder, Geiger & Nowozin 2018, equation 9."""
        return Loss({"r1": losses.r1(self.discriminator, batch["image"])})

    def generator_loss(self, batch: Batch) -> Loss:
        """−E log D(G(z))."""
        fake_logits = self.discriminator(self.sample(batch["image"]))
        return Loss({"adversarial": losses.generator_non_saturating(fake_logits)})

    def path_length_loss(self, batch: Batch) -> Loss:
        """E(‖J_wᵀ y‖ − a)², a the running mean: Karras 2020, equation 4."""
        count = max(1, len(batch["image"]) // LENGTH_SHARE)
        z = torch.randn(count, self.params.latent_dim, device=batch["image"].device)
        w = self.generator.mapping(z)[:, None].expand(-1, self.layers, -1)
        lengths = losses.path_lengths(2.0 * self.drawn(w), w)  # of pixels in [-1, 1], as the paper's weight is
        self.mean_length.lerp_(lengths.detach().mean(), 1.0 - LENGTH_DECAY)
        penalty = (lengths - self.mean_length).square().mean()
        return Loss({"path_length": penalty}, {"mean_length": self.mean_length.clone()})

    def graphs(self) -> tuple[Graph, ...]:
        """`generate`: beside z and the layers' noise, a second z for finer layers, and ψ of the truncation."""
        latent = TensorSpec(("batch", self.params.latent_dim), "normal")
        share = TensorSpec(("batch",), "scalar", default=1.0)  # as in training, where no one asks for other
        inputs = {
            "noise": latent,
            "texture": TensorSpec(("batch", self.generator.synthesis.noise_dim), "normal"),
            "second": latent,
            "crossover": share,
            "truncation": share,
        }
        return (Graph("generate", self.generator, inputs, {"image": self.data.image}),)
