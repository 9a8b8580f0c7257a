"""StyleGAN's networks: Karras et al. 2020, figure 2d, with output skips and a residual discriminator (figure 7).

All work on a square canvas, the next power of two from the data's sides: the generator's is cropped to the image,
the discriminator's is the image with a black margin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, int, int]  # (C, H, W)

SMALLEST = 4  # the side of the learned constant
SLOPE = 0.2  # of leaky ReLU
HE = math.sqrt(2.0)  # the gain that keeps the variance through a rectifier: He et al. 2015
EPSILON = 1e-8


def canvas_side(shape: Shape, patch: int) -> int:
    """The power of two that holds an image and, in blocks of `patch` × `patch`, the smallest resolution."""
    return max(1 << (max(shape[1:]) - 1).bit_length(), SMALLEST * patch)


def margins(shape: Shape, side: int) -> tuple[int, int, int, int]:
    """Pixels of the canvas left of, right of, above and below an image in its centre."""
    _, height, width = shape
    left, top = (side - width) // 2, (side - height) // 2
    return left, side - width - left, top, side - height - top


def widths(shape: Shape, channels: int, widest: int, patch: int) -> tuple[int, ...]:
    """Channels at 4×4, 8×8, … : `channels` next to the image, doubled at each halving up to `widest`."""
    levels = (canvas_side(shape, patch) // (SMALLEST * patch)).bit_length()
    return tuple(min(channels * 2**level, widest) for level in reversed(range(levels)))


def upsampled(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2H, 2W), by the filter [1, 3, 3, 1]: Karras 2019, section 2."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class EqualLinear(nn.Module):
    """Linear, its weights N(0, 1) and scaled where used, so that all learn alike: Karras 2018, section 4.1.

    Args:
        rate: of learning, beside that of other layers.
    """

    def __init__(self, fan_in: int, fan_out: int, gain: float = 1.0, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in) / rate)
        self.bias = nn.Parameter(torch.full((fan_out,), bias / rate))
        self.scale, self.rate = rate * gain / math.sqrt(fan_in), rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, fan_in) → (N, fan_out)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """The same for a convolution of odd `kernel` that keeps the sides."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int, gain: float = HE) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.scale, self.padding = gain / math.sqrt(fan_in * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, fan_in, H, W) → (N, fan_out, H, W)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class Mapping(nn.Module):
    """z → w: Karras 2019, figure 1b. `average` is that of w over training, the centre of truncation."""

    def __init__(self, latent_dim: int, layers: int, rate: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualLinear(latent_dim, latent_dim, HE, rate=rate) for _ in range(layers))
        self.average: Tensor
        self.register_buffer("average", torch.zeros(latent_dim))

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent_dim), brought to unit mean square, → (N, latent_dim)."""
        w = z * (z.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), SLOPE)
        return w

    def track(self, w: Tensor, decay: float) -> None:
        """Move the average a little to that of w (N, latent_dim)."""
        self.average.lerp_(w.detach().mean(dim=0), 1.0 - decay)


class ModulatedConv(nn.Module):
    """A convolution whose input channels w scales, and whose output is brought back to unit variance.

    Equations 1 and 3 of Karras 2020 scale the weights, of each image its own. As a convolution is linear, the
    shared weights between a scaled input and a scaled output give the same, on any batch and without groups.
    """

    def __init__(self, fan_in: int, fan_out: int, kernel: int, w_dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in, kernel, kernel))
        self.style = EqualLinear(w_dim, fan_in, bias=1.0)
        self.scale, self.padding, self.demodulate = 1.0 / math.sqrt(fan_in * kernel**2), kernel // 2, demodulate

    def forward(self, x: Tensor, w: Tensor, up: bool = False) -> Tensor:
        """(N, fan_in, H, W) and (N, w_dim) → (N, fan_out, H, W), or twice the sides, enlarged last."""
        style, weight = self.style(w), self.weight * self.scale
        x = x * style[:, :, None, None]
        y = F.conv2d(x, weight, padding=self.padding)
        y = upsampled(y) if up else y
        if not self.demodulate:
            return y
        power = style.square() @ weight.square().sum(dim=(2, 3)).T  # (N, fan_out)
        return y * (power + EPSILON).rsqrt()[:, :, None, None]


class StyledConv(nn.Module):
    """One block of figure 2d: modulated convolution, noise, bias, leaky ReLU."""

    def __init__(self, fan_in: int, fan_out: int, w_dim: int, up: bool) -> None:
        super().__init__()
        self.conv, self.up = ModulatedConv(fan_in, fan_out, 3, w_dim), up
        self.strength = nn.Parameter(torch.zeros(1))  # of the noise
        self.bias = nn.Parameter(torch.zeros(fan_out, 1, 1))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """(N, fan_in, H, W), (N, w_dim) and noise (N, 1, H, W) → (N, fan_out, H, W); `up` doubles the sides."""
        return HE * F.leaky_relu(self.conv(x, w, self.up) + (noise * self.strength + self.bias), SLOPE)


class ToImage(nn.Module):
    """A resolution's own share of the image."""

    def __init__(self, fan_in: int, depth: int, patch: int, w_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(fan_in, depth * patch**2, 1, w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(depth * patch**2, 1, 1))
        self.patch = patch

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, fan_in, H, W) and (N, w_dim) → (N, depth, patch H, patch W)."""
        return F.pixel_shuffle(self.conv(x, w) + self.bias, self.patch)


class Synthesis(nn.Module):
    """A style for each layer, and noise → an image. Figure 7b: what each resolution adds is summed up.

    `wide` has the channels from 4×4 on. A last sigmoid ends the image at black and white, where much of it lies.
    """

    def __init__(self, shape: Shape, wide: tuple[int, ...], patch: int, w_dim: int) -> None:
        super().__init__()
        self.shape, self.margins = shape, margins(shape, canvas_side(shape, patch))
        self.constant = nn.Parameter(torch.randn(1, wide[0], SMALLEST, SMALLEST))
        self.layers = nn.ModuleList([StyledConv(wide[0], wide[0], w_dim, up=False)])
        self.to_image = nn.ModuleList([ToImage(wide[0], shape[0], patch, w_dim)])
        self.sides = [SMALLEST]  # of the noise, by layer
        for level in range(1, len(wide)):
            self.layers.append(StyledConv(wide[level - 1], wide[level], w_dim, up=True))
            self.layers.append(StyledConv(wide[level], wide[level], w_dim, up=False))
            self.to_image.append(ToImage(wide[level], shape[0], patch, w_dim))
            self.sides += [SMALLEST * 2**level] * 2

    @property
    def noise_dim(self) -> int:
        """Numbers of noise in all layers."""
        return sum(side**2 for side in self.sides)

    def forward(self, w: Tensor, noise: Tensor) -> Tensor:
        """(N, layers, w_dim) and (N, noise_dim) → (N, C, H, W) in [0, 1]."""
        parts = noise.split([side**2 for side in self.sides], dim=1)
        noises = [part.unflatten(1, (1, side, side)) for part, side in zip(parts, self.sides, strict=True)]
        x = self.layers[0](self.constant.expand(w.shape[0], -1, -1, -1), w[:, 0], noises[0])
        image = self.to_image[0](x, w[:, 0])
        for level in range(1, len(self.to_image)):
            for layer in (2 * level - 1, 2 * level):
                x = self.layers[layer](x, w[:, layer], noises[layer])
            image = upsampled(image) + self.to_image[level](x, w[:, 2 * level])
        left, _, top, _ = self.margins
        return image[:, :, top : top + self.shape[1], left : left + self.shape[2]].sigmoid()


def mixed(first: Tensor, second: Tensor, crossover: Tensor, layers: int) -> Tensor:
    """Style mixing (Karras 2019, section 3.1): the first share of the layers, from the coarse, takes `first`.

    (N, w_dim) twice and shares (N,) in [0, 1] → (N, layers, w_dim).
    """
    place = (torch.arange(layers, device=first.device) + 0.5) / layers
    own = place < crossover[:, None]  # (N, layers)
    return torch.where(own[:, :, None], first[:, None], second[:, None])


class Generator(nn.Module):
    """Mapping and synthesis: all that ships."""

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(
        self, noise: Tensor, texture: Tensor, second: Tensor, crossover: Tensor, truncation: Tensor
    ) -> Tensor:
        """z (N, latent_dim), noise_dim numbers of noise for each image, another z, shares (N,), ψ (N,) → images.

        ψ is that of the truncation trick, w̄ + ψ(w − w̄): Karras 2019, appendix B.
        """
        w = mixed(self.mapping(noise), self.mapping(second), crossover, len(self.synthesis.layers))
        average = self.mapping.average
        return self.synthesis(average + truncation[:, None, None] * (w - average), texture)


class ResidualBlock(nn.Module):
    """Halves the sides: figure 7c, with a box filter."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.conv_in, self.conv_out = EqualConv(fan_in, fan_in, 3), EqualConv(fan_in, fan_out, 3)
        self.skip = EqualConv(fan_in, fan_out, 1, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, fan_in, H, W) → (N, fan_out, H/2, W/2)."""
        h = F.leaky_relu(self.conv_in(x), SLOPE)
        h = F.leaky_relu(self.conv_out(F.avg_pool2d(h, 2)), SLOPE)
        return (self.skip(F.avg_pool2d(x, 2)) + h) * math.sqrt(0.5)


def with_deviation(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C + 1, H, W): the batch's mean standard deviation as a channel; Karras 2018, section 3."""
    deviation = (x.var(dim=0, correction=0) + EPSILON).sqrt().mean()
    return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], dim=1)


class Discriminator(nn.Module):
    """Images → logits. `wide` has the channels from 4×4 on, as the synthesis has them."""

    def __init__(self, shape: Shape, wide: tuple[int, ...], patch: int) -> None:
        super().__init__()
        self.margins, self.patch = margins(shape, canvas_side(shape, patch)), patch
        self.from_image = EqualConv(shape[0] * patch**2, wide[-1], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(wide[i], wide[i - 1]) for i in range(len(wide) - 1, 0, -1)))
        self.conv = EqualConv(wide[0] + 1, wide[0], 3)
        self.dense = EqualLinear(wide[0] * SMALLEST**2, wide[0], HE)
        self.out = EqualLinear(wide[0], 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N, 1)."""
        canvas = F.pad(image, self.margins) * 2.0 - 1.0
        x = F.leaky_relu(self.from_image(F.pixel_unshuffle(canvas, self.patch)), SLOPE)
        x = F.leaky_relu(self.conv(with_deviation(self.blocks(x))), SLOPE)
        return self.out(F.leaky_relu(self.dense(x.flatten(1)), SLOPE))
