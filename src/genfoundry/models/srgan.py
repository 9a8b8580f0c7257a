"""Super-resolution (Ledig et al. 2017): SRResNet, and SRGAN, which plays the adversarial game from there on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.networks.lpips import LPIPS, SMALLEST
from genfoundry.params import ParamsError, Strict

HALVINGS, SLOPE = 4, 0.2  # of the discriminator, figure 4


class Residual(nn.Module):
    """x + layers(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        return x + self.layers(x)


def conv(fan_in: int, fan_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """That keeps the size, or divides it by the stride."""
    return nn.Conv2d(fan_in, fan_out, kernel, stride, padding=kernel // 2)


def factors(number: int) -> Iterator[int]:
    """Primes whose product it is: 4 → 2, 2."""
    prime = 2
    while number > 1:
        while number % prime:
            prime += 1
        yield prime
        number //= prime


class Generator(nn.Module):
    """SRResNet: figure 4, whose output is added to a bicubic interpolation (Kim et al. 2016, section 3.1).

    Without BatchNorm: it costs accuracy (Lim et al. 2017, section 3.1), and statistics of patches would meet whole
    images.
    """

    def __init__(self, channels: int, blocks: int, depth: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers = [Residual(conv(channels, channels), nn.PReLU(), conv(channels, channels)) for _ in range(blocks)]
        upsampling: list[nn.Module] = []
        for factor in factors(scale):  # sub-pixel convolutions: Shi et al. 2016, equation 4
            upsampling += [conv(channels, channels * factor**2), nn.PixelShuffle(factor), nn.PReLU()]
        self.details = nn.Sequential(
            conv(depth, channels, 9),
            nn.PReLU(),
            Residual(*layers, conv(channels, channels)),
            *upsampling,
            conv(channels, depth, 9),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N, C, scale·H, scale·W), about in [0, 1]."""
        size = [side * self.scale for side in x.shape[2:]]
        return F.interpolate(x, size, mode="bicubic") + self.details(x)


class Restore(nn.Module):
    """The generator as it ships."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N, C, scale·H, scale·W) in [0, 1]."""
        return self.generator(image).clamp(0.0, 1.0)


class Discriminator(nn.Module):
    """Figure 4 for images of any size: its last layer sees the mean over all places.

    Without BatchNorm, which would give real and generated batches, each seen alone, the same means to tell apart.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(depth, channels), nn.LeakyReLU(SLOPE)]
        for level in range(HALVINGS):
            fan_in, wide = channels << max(0, level - 1), channels << level
            same = [conv(fan_in, wide), nn.LeakyReLU(SLOPE)] if level else []
            layers += [*same, conv(wide, wide, stride=2), nn.LeakyReLU(SLOPE)]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(wide, 1)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):  # what BatchNorm did for the size of activations
                nn.init.kaiming_normal_(layer.weight, SLOPE)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → logits (N, 1)."""
        return self.head(self.features(image * 2.0 - 1.0).mean(dim=(2, 3)))


class Game(Strict):
    """When the game begins and what its generator minimises: weights of the terms of equation 3."""

    start: PositiveInt  # steps of the content loss alone, before
    channels: PositiveInt  # of the discriminator at full size, doubled with each halving
    content: NonNegativeFloat
    perceptual: NonNegativeFloat
    adversarial: NonNegativeFloat


class SRGAN(GenerativeModel):
    """Small images → `scale` times larger ones, of any size."""

    class Params(Strict):
        """SRResNet's width and residual blocks; without a game, SRResNet is what ships."""

        channels: PositiveInt
        blocks: PositiveInt
        game: Game | None = None

    needs = frozenset({"image", "degraded"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        depth = data.shape[0]
        self.data, self.game = data, params.game
        self.generator = Generator(params.channels, params.blocks, depth, data.scale)
        if params.game:
            if min(data.shape[1:]) < SMALLEST["vgg16"]:
                raise ParamsError(f"the perceptual loss sees sides of {SMALLEST['vgg16']} pixels or more")
            self.discriminator = Discriminator(params.game.channels, depth)
            self.lpips = LPIPS("vgg16")

    def published(self) -> LPIPS | None:
        """The network of the perceptual loss."""
        return self.lpips if self.game else None

    def phases(self) -> tuple[Phase, ...]:
        """SRResNet's; then, at its end, the discriminator's and the generator's."""
        if self.game is None:
            return (Phase("content", self.generator, self.content_loss),)
        start = self.game.start
        return (
            Phase("content", self.generator, self.content_loss, stop=start),
            Phase("discriminator", self.discriminator, self.discriminator_loss, start=start),
            Phase("generator", self.generator, self.generator_loss, start=start),
        )

    def content_loss(self, batch: Batch) -> Loss:
        """Mean squared error of a pixel; equation 4."""
        error = F.mse_loss(self.generator(batch["degraded"]), batch["image"])
        return Loss({"mse": error}, {"psnr": -10.0 * error.log10()})

    def discriminator_loss(self, batch: Batch) -> Loss:
        """Equation 2."""
        with torch.no_grad():
            fake = self.generator(batch["degraded"])
        return losses.discriminator(self.discriminator(batch["image"]), self.discriminator(fake))

    def generator_loss(self, batch: Batch) -> Loss:
        """Equation 3, with LPIPS for the distance of VGG's features (equation 5), and equation 6."""
        assert self.game is not None
        x, x_hat = batch["image"], self.generator(batch["degraded"])
        error, distance = F.mse_loss(x_hat, x), self.lpips(x, x_hat).mean()
        fooled = losses.generator_non_saturating(self.discriminator(x_hat))
        terms = {
            "mse": self.game.content * error,
            "perceptual": self.game.perceptual * distance,
            "adversarial": self.game.adversarial * fooled,
        }
        return Loss(terms, {"psnr": -10.0 * error.detach().log10(), "lpips": distance.detach()})

    def graphs(self) -> tuple[Graph, ...]:
        """`restore` for images of any size."""
        depth, scale = self.data.shape[0], self.data.scale
        small = TensorSpec(("batch", depth, "height", "width"), "image")
        large = TensorSpec(("batch", depth, f"{scale}*height", f"{scale}*width"), "image")
        return (Graph("restore", Restore(self.generator), {"image": small}, {"restoration": large}),)
