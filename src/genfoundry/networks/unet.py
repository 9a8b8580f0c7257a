"""The U-Net of diffusion models (Ho et al. 2020, appendix B), with room for small images on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8  # of GroupNorm; channels are multiples of it


class TimeEmbedding(nn.Module):
    """Diffusion times → features, (N,) in [0, 1] → (N, features); sinusoids of Vaswani et al. 2017, section 3.5."""

    def __init__(self, features: int) -> None:
        super().__init__()
        rates = torch.exp(torch.linspace(0.0, math.log(1000.0), features // 2))
        self.register_buffer("rates", rates, persistent=False)
        self.net = nn.Sequential(nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features), nn.SiLU())

    def forward(self, t: Tensor) -> Tensor:
        """From slow to fast, so that near and far times both differ."""
        angles = t[:, None] * self.get_buffer("rates")
        return self.net(torch.cat([angles.sin(), angles.cos()], dim=1))


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice; the time scales and shifts in between (Nichol & Dhariwal 2021)."""

    def __init__(
        self, fan_in: int, fan_out: int, features: int, dropout: float = 0.0, attends: bool = False
    ) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(GROUPS, fan_in)
        self.conv_in = nn.Conv2d(fan_in, fan_out, 3, padding=1)
        self.modulation = nn.Linear(features, 2 * fan_out)
        self.norm_out = nn.GroupNorm(GROUPS, fan_out)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = nn.Conv2d(fan_out, fan_out, 3, padding=1)
        self.attend = SelfAttention(fan_out) if attends else nn.Identity()
        self.skip = nn.Conv2d(fan_in, fan_out, 1) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(N, fan_in, H, W) and (N, features) → (N, fan_out, H, W)."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm_out(h) * (1.0 + scale) + shift)
        return self.attend(self.skip(x) + self.conv_out(self.dropout(h)))


class SelfAttention(nn.Module):
    """Each place looks at all others, one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (N, H W, C)
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[2])).softmax(dim=2)
        return x + self.out((weights @ v).transpose(1, 2).unflatten(2, (x.shape[2], x.shape[3])))


def way_down(
    channels: tuple[int, ...], blocks: int, block: Callable[[int, int], ResidualBlock]
) -> tuple[nn.ModuleList, list[int]]:
    """Blocks of each level and the convolutions between them, and the widths of all maps, the stem's first.

    `block` makes one from its fan-in and its level.
    """
    layers, widths = nn.ModuleList(), [channels[0]]
    for level, (fan_in, fan_out) in enumerate(pairwise((channels[0], *channels))):
        if level:
            layers.append(nn.Conv2d(fan_in, fan_in, 3, stride=2, padding=1))
            widths.append(fan_in)
        for index in range(blocks):
            layers.append(block(fan_out if index else fan_in, level))
            widths.append(fan_out)
    return layers, widths


def way_up(
    channels: tuple[int, ...], blocks: int, widths: list[int], block: Callable[[int, int], ResidualBlock]
) -> nn.ModuleList:
    """Blocks that each take over one of the maps of the way down, of `widths`, and the upscaling between levels.

    A level's last convolution comes before the upscaling, not after it as in the authors' code: on a quarter of the
    pixels.
    """
    layers, kept, fan_in = nn.ModuleList(), list(widths), channels[-1]
    for level in reversed(range(len(channels))):
        for _ in range(blocks + 1):
            layers.append(block(fan_in + kept.pop(), level))
            fan_in = channels[level]
        if level:
            narrow = nn.Conv2d(fan_in, channels[level - 1], 3, padding=1)
            layers.append(nn.Sequential(narrow, nn.Upsample(scale_factor=2.0)))
            fan_in = channels[level - 1]
    return layers


class UNet(nn.Module):
    """x_t, t and, with classes, a label → a prediction of x_t's shape.

    Pixels enter in blocks of `patch` × `patch`: the finest convolutions, which cost most and see least, are spared.
    `channels` has the width of each level; each level but the first halves the sides. Blocks of levels whose
    height is in `attention` end with self-attention, as does the middle.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        channels: tuple[int, ...],
        patch: int,
        blocks: int,
        classes: int,
        attention: tuple[int, ...] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        depth, features = shape[0] * patch**2, 4 * channels[0]

        def block(fan_in: int, level: int) -> ResidualBlock:
            attends = shape[1] // patch >> level in attention
            return ResidualBlock(fan_in, channels[level], features, dropout, attends)

        self.time = TimeEmbedding(features)
        self.label = nn.Embedding(classes, features) if classes else None
        self.stem = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(depth, channels[0], 3, padding=1))
        self.down, widths = way_down(channels, blocks, block)
        first, last = (ResidualBlock(channels[-1], channels[-1], features, dropout) for _ in range(2))
        self.middle = nn.ModuleList([first, SelfAttention(channels[-1]), last])
        self.up = way_up(channels, blocks, widths, block)
        out = nn.Conv2d(channels[0], depth, 3, padding=1)
        nn.init.normal_(out.weight, std=1e-3)  # starts near zero, where its target lies on average
        self.head = nn.Sequential(nn.GroupNorm(GROUPS, channels[0]), nn.SiLU(), out, nn.PixelShuffle(patch))

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, C, H, W), (N,) or (1,) in [0, 1], (N,) int64 → (N, C, H, W)."""
        embedding = self.time(t)
        if self.label is not None and label is not None:
            embedding = embedding + self.label(label)
        h = self.stem(x_t)
        kept = [h]
        for layer in self.down:
            h = _apply(layer, h, embedding)
            kept.append(h)
        for layer in self.middle:
            h = _apply(layer, h, embedding)
        for layer in self.up:
            h = _apply(
                layer, torch.cat([h, kept.pop()], dim=1) if isinstance(layer, ResidualBlock) else h, embedding
            )
        return self.head(h)


def _apply(layer: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
    return layer(h, embedding) if isinstance(layer, ResidualBlock) else layer(h)
