"""A discriminator that sees an image as a published network does too (Sauer et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2


def head(depth: int, channels: int) -> nn.Sequential:
    """(N, depth, H, W) → logits (N, 1, H, W), one for each 3 × 3 places."""
    layers = [nn.Conv2d(depth, channels, 1), nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, 1, 1)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, SLOPE)
    first, second, last = layers
    return nn.Sequential(first, nn.LeakyReLU(SLOPE), second, nn.LeakyReLU(SLOPE), last)


class ProjectedDiscriminator(nn.Module):
    """Logits of `pixels`, a discriminator of images, beside those of a head for each map of a published network.

    Equation 4 of the paper, whose random mixing of maps is left out. What an edge or an eye is need not be learnt,
    so that a short game suffices; what the network overlooks is for `pixels` to see. Without maps, `pixels` alone.
    """

    def __init__(self, pixels: nn.Module, depths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.heads = nn.ModuleList(head(depth, channels) for depth in depths)

    def forward(self, image: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """(N, C, H, W) and maps (N, depth, h, w), each place of unit length → (N, 1 + maps, H', W').

        Maps of fewer places are repeated, so that each has an equal part in a mean.
        """
        logits = [self.pixels(image)]
        logits += [head(h * math.sqrt(h.shape[1])) for head, h in zip(self.heads, maps, strict=True)]
        size = [max(sides) for sides in zip(*(h.shape[2:] for h in logits), strict=True)]
        return torch.cat([F.interpolate(h, size) for h in logits], dim=1)
