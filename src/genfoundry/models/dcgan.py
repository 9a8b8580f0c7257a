"""Deep convolutional GAN (Radford, Metz & Chintala 2016)."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.networks.convnet import ToUnit, halvings, init_weights
from genfoundry.params import Strict


def conv_generator(noise_dim: int, channels: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """(N, noise_dim) → (N, C, H, W) in [0, 1], by fractionally strided convolutions; figure 1."""
    depth, height, width = shape
    levels = halvings(height, width)
    wide = channels * 2 ** (levels - 1) if levels else depth
    small = (height >> levels, width >> levels)
    layers: list[nn.Module] = [
        nn.Unflatten(1, (noise_dim, 1, 1)),
        nn.ConvTranspose2d(noise_dim, wide, small, bias=False),
    ]
    for level in reversed(range(levels)):
        fan_in, last = channels * 2**level, level == 0
        fan_out = depth if last else fan_in // 2
        layers += [nn.BatchNorm2d(fan_in), nn.ReLU()]
        layers += [nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1, bias=last)]
    return nn.Sequential(*layers, ToUnit()).apply(init_weights)


def conv_discriminator(channels: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """(N, C, H, W) → logits (N, 1), by strided convolutions; no BatchNorm on the input layer."""
    depth, height, width = shape
    levels = halvings(height, width)
    layers: list[nn.Module] = []
    for level in range(levels):
        fan_out = channels * 2**level
        layers += [nn.Conv2d(depth, fan_out, 4, stride=2, padding=1, bias=level == 0)]
        layers += [nn.BatchNorm2d(fan_out)] if level else []
        layers += [nn.LeakyReLU(0.2)]
        depth = fan_out
    small = (height >> levels, width >> levels)
    return nn.Sequential(*layers, nn.Conv2d(depth, 1, small), nn.Flatten()).apply(init_weights)


class DCGAN(GenerativeModel):
    """Goodfellow's game on all-convolutional networks, with the non-saturating loss."""

    class Params(Strict):
        """A network's `channels` are its width next to the image; it doubles with each halving."""

        noise_dim: PositiveInt
        generator_channels: PositiveInt
        discriminator_channels: PositiveInt

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.generator = conv_generator(params.noise_dim, params.generator_channels, data.shape)
        self.discriminator = conv_discriminator(params.discriminator_channels, data.shape)

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, then the generator."""
        return (
            Phase("discriminator", self.discriminator, self.discriminator_loss),
            Phase("generator", self.generator, self.generator_loss),
        )

    def sample(self, like: Tensor) -> Tensor:
        """As many images as `like` holds."""
        return self.generator(torch.randn(len(like), self.params.noise_dim, device=like.device))

    def logits(self, image: Tensor) -> Tensor:
        """D sees [-1, 1], section 4: (N, C, H, W) in [0, 1] → (N, 1)."""
        return self.discriminator(image * 2.0 - 1.0)

    def discriminator_loss(self, batch: Batch) -> Loss:
        """Real and generated in separate batches, so that BatchNorm sees each alone."""
        x = batch["image"]
        with torch.no_grad():
            fake = self.sample(x)
        return losses.discriminator(self.logits(x), self.logits(fake))

    def generator_loss(self, batch: Batch) -> Loss:
        """−E log D(G(z))."""
        return Loss({"adversarial": losses.generator_non_saturating(self.logits(self.sample(batch["image"])))})

    def graphs(self) -> tuple[Graph, ...]:
        """`generate` alone: the discriminator does not ship."""
        noise = TensorSpec(("batch", self.params.noise_dim), "normal")
        return (Graph("generate", self.generator, {"noise": noise}, {"image": self.data.image}),)
