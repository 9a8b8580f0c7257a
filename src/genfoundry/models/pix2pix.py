"""Paired image-to-image translation with a conditional adversary (Isola et al. 2017)."""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase
from genfoundry.networks.convnet import halvings, init_weights, shifted
from genfoundry.networks.lpips import LPIPS, SMALLEST
from genfoundry.networks.patchgan import patchgan
from genfoundry.networks.projected import ProjectedDiscriminator
from genfoundry.networks.redrawing import RedrawingGenerator
from genfoundry.params import ParamsError, Strict

WIDEST = 8  # times `channels`, at most
NOISY = 8  # pixels of a side: the paper's three layers with dropout give maps up to this


def down(fan_in: int, fan_out: int, norm: bool) -> nn.Sequential:
    """(N, fan_in, H, W) → (N, fan_out, H/2, W/2)."""
    convolution = nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1, bias=not norm)
    return nn.Sequential(convolution, *([nn.InstanceNorm2d(fan_out)] if norm else []), nn.LeakyReLU(0.2))


def up(fan_in: int, fan_out: int, dropout: float) -> nn.Sequential:
    """(N, fan_in, H, W) → (N, fan_out, 2H, 2W); no transposed convolution, whose grid shows (Odena et al. 2016)."""
    larger = [nn.Upsample(scale_factor=2.0), nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)]
    return nn.Sequential(*larger, nn.InstanceNorm2d(fan_out), nn.Dropout(dropout), nn.ReLU())


class UNetGenerator(nn.Module):
    """Encoder and decoder whose maps of equal size stand side by side; section 3.2.1 and appendix 6.1.1.

    The sides are halved while both are even, to 1 × 1 where they are powers of 2. Neither the first nor the
    innermost map is normalised; the others are by InstanceNorm, the paper's BatchNorm at its batch of 1 but for the
    learned scale and shift. Dropout is the paper's noise, and rests in evaluation. Unlike the paper's, the source
    is a skip too, beside the last map, which says how it is to change: edges of small images would else be lost.

    Raises:
        ParamsError: an odd side.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, dropout: float) -> None:
        super().__init__()
        depth, height, width = shape
        levels = halvings(height, width, smallest=1)
        if not levels:
            raise ParamsError(f"a U-Net halves the sides; {height}×{width} pixels cannot be halved")
        widths = [channels * min(2**level, WIDEST) for level in range(levels)]
        self.down = nn.ModuleList(
            down(fan_in, fan_out, norm=0 < level < levels - 1)
            for level, (fan_in, fan_out) in enumerate(pairwise([depth, *widths]))
        )
        self.up = nn.ModuleList()
        fan_in = widths[-1]
        for level, beside in reversed(list(enumerate([depth, *widths[:-1]]))):
            fan_out = widths[level - 1] if level else channels // 2
            noisy = max(height, width) >> level <= NOISY
            self.up.append(up(fan_in, fan_out, dropout if noisy else 0.0))
            fan_in = fan_out + beside
        self.head = nn.Sequential(nn.Conv2d(fan_in, depth, 3, padding=1), nn.Tanh())
        self.apply(init_weights)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the same."""
        h, kept = image * 2.0 - 1.0, []
        for layer in self.down:
            kept.append(h)
            h = layer(h)
        for layer in self.up:
            h = torch.cat([layer(h), kept.pop()], dim=1)
        return shifted(image, self.head(h))


class Redraw(Strict):
    """Instead of the U-Net, a generator that moves and recolours an image as a whole; see networks/redrawing.py."""

    features: PositiveInt  # of an image's code
    colours: PositiveInt  # units of what recolours it


class Perceptual(Strict):
    """What a published network adds to the paper: AlexNet, as LPIPS has it."""

    weight: NonNegativeFloat  # of LPIPS beside L1, as Wang et al. 2018 (section 3.3) have VGG's features
    channels: PositiveInt  # of D's heads on its maps; see networks/projected.py
    enlarge: PositiveInt  # times, what it sees: its first convolution takes every fourth pixel


def generator(params: Pix2Pix.Params, shape: tuple[int, int, int]) -> nn.Module:
    """G."""
    channels, redraw = params.generator_channels, params.redraw
    if redraw:
        return RedrawingGenerator(shape, channels, redraw.features, redraw.colours, params.dropout)
    return UNetGenerator(shape, channels, params.dropout)


class Pix2Pix(GenerativeModel):
    """G turns a source into its target; D sees both and tells a true target from G's."""

    class Params(Strict):
        """`adversarial` 0 leaves G with L1 alone. `l1`: the paper's 100 in [-1, 1] is our 200 in [0, 1]."""

        generator_channels: PositiveInt
        discriminator_channels: PositiveInt
        conditional: bool  # whether D sees the source too; without it, the paper's L1 + GAN of table 1
        patch_halvings: PositiveInt  # see networks/patchgan.py
        dropout: float = Field(ge=0.0, lt=1.0)
        adversarial: NonNegativeFloat
        l1: PositiveFloat
        redraw: Redraw | None = None
        perceptual: Perceptual | None = None

    needs = frozenset({"source", "target"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.generator = generator(params, data.shape)
        if params.perceptual:
            if min(data.shape[1:]) * params.perceptual.enlarge < SMALLEST["alexnet"]:
                raise ParamsError(f"perceptual.enlarge: AlexNet sees sides of {SMALLEST['alexnet']} pixels or more")
            self.lpips = LPIPS("alexnet")
        if params.adversarial:
            depth, height, width = data.shape
            judged = 2 * depth if params.conditional else depth
            pixels = patchgan((judged, height, width), params.discriminator_channels, params.patch_halvings)
            heads = (self.lpips.depths, params.perceptual.channels) if params.perceptual else ((), 0)
            self.discriminator = ProjectedDiscriminator(pixels, *heads)

    def published(self) -> LPIPS | None:
        """The network of the perceptual loss."""
        return self.lpips if self.params.perceptual else None

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, where there is one, then the generator; section 3.3."""
        generator = Phase("generator", self.generator, self.generator_loss)
        if not self.params.adversarial:
            return (generator,)
        return Phase("discriminator", self.discriminator, self.discriminator_loss), generator

    def maps(self, image: Tensor) -> list[Tensor]:
        """What the published network, if there is one, makes of (N, C, H, W) in [0, 1]."""
        if self.params.perceptual is None:
            return []
        return self.lpips.features(
            F.interpolate(image, scale_factor=self.params.perceptual.enlarge, mode="bilinear")
        )

    def logits(self, source: Tensor, target: Tensor, maps: list[Tensor]) -> Tensor:
        """D(x, y), or D(y): (N, C, H, W) in [0, 1] twice and the target's maps → (N, 1 + maps, H', W')."""
        seen = torch.cat([source, target], dim=1) if self.params.conditional else target
        return self.discriminator(seen * 2.0 - 1.0, maps)

    def discriminator_loss(self, batch: Batch) -> Loss:
        """−L_cGAN of equation 1."""
        x, y = batch["source"], batch["target"]
        with torch.no_grad():
            fake = self.generator(x)
            seen, seen_fake = self.maps(y), self.maps(fake)
        return losses.discriminator(self.logits(x, y, seen), self.logits(x, fake, seen_fake))

    def generator_loss(self, batch: Batch) -> Loss:
        """Equation 4, whose L_cGAN is that of section 3.3, −E log D(x, G(x)); equation 3 where it stands alone."""
        x, y = batch["source"], batch["target"]
        fake = self.generator(x)
        maps = self.maps(fake)
        terms = {"l1": self.params.l1 * losses.absolute_error(y, fake).mean()}
        if self.params.adversarial:
            logits = self.logits(x, fake, maps)
            terms["adversarial"] = self.params.adversarial * losses.generator_non_saturating(logits)
        if self.params.perceptual:
            distance = self.lpips.distance(self.maps(y), maps).mean()
            terms["perceptual"] = self.params.perceptual.weight * distance
        return Loss(terms)

    def graphs(self) -> tuple[Graph, ...]:
        """`translate` alone: the discriminator does not ship."""
        image = self.data.image
        return (Graph("translate", self.generator, {"image": image}, {"translation": image}),)
