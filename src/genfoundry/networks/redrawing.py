"""A generator that draws no pixel of its own: it moves and recolours an image, whose edges stay sharp."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from genfoundry.networks.convnet import halvings, shifted

GROUPS = 8  # of GroupNorm, or as many as divide its channels
REACH = 0.5  # at most: of a scale from 1, and of a shift in half images


def middles(side: int) -> Tensor:
    """(P,): the middles of a row's pixels in [-1, 1]."""
    return (2.0 * torch.arange(side) + 1.0) / side - 1.0


def between(where: Tensor) -> Tensor:
    """The weights of linear interpolation: (N, P) places in [-1, 1] → (N, P, P); beyond an edge lies its pixel."""
    side = where.shape[1]
    pixels = (0.5 * (where + 1.0) * side - 0.5).clamp(0.0, side - 1.0)
    return (1.0 - (pixels[:, :, None] - torch.arange(side, device=where.device)).abs()).relu()


def with_ones(h: Tensor) -> Tensor:
    """(N, D, P) → (N, D + 1, P), so that a matrix holds its bias."""
    return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)


def encoder(shape: tuple[int, int, int], channels: int, features: int, dropout: float) -> nn.Sequential:
    """Images (N, C, H, W) in [-1, 1] → codes (N, features): each halving doubles the channels."""
    depth, height, width = shape
    levels = halvings(height, width)
    widths = [channels * 2**level for level in range(levels)]
    layers: list[nn.Module] = []
    for level, (fan_in, fan_out) in enumerate(pairwise([depth, *widths])):
        norm = [nn.GroupNorm(math.gcd(GROUPS, fan_out), fan_out)] if level else []  # the first tells colours
        layers += [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), *norm, nn.LeakyReLU(0.2)]
    flat = [depth, *widths][-1] * (height >> levels) * (width >> levels)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, features), nn.LeakyReLU(0.2), nn.Dropout(dropout))


class RedrawingGenerator(nn.Module):
    """Images (N, C, H, W) in [0, 1] → the same, each enlarged, moved and recoloured as a code of it says.

    A spatial transformer (Jaderberg et al. 2015, equations 1 and 5) without rotation, so that bilinear sampling is
    a product with one matrix an axis; then a perceptron of one hidden layer on a pixel's colour, whose weights are
    made for the image (Ha et al. 2017). At first both leave nearly all as it is; dropout is on the code.
    """

    def __init__(
        self, shape: tuple[int, int, int], channels: int, features: int, colours: int, dropout: float
    ) -> None:
        super().__init__()
        self.depth, *sides = shape
        self.hidden = colours
        self.encoder = encoder(shape, channels, features, dropout)
        self.place = nn.Linear(features, 4)
        self.inner = nn.Linear(features, colours * (self.depth + 1))
        self.outer = nn.Linear(features, self.depth * (colours + 1))
        # Not quite in place: interpolation has no slope at whole pixels.
        for layer, bias, weight in ((self.place, 0.0, 0.01), (self.inner, 0.6, 0.01), (self.outer, 0.05, 0.001)):
            nn.init.normal_(layer.bias, std=bias)
            nn.init.normal_(layer.weight, std=weight)
        for axis, side in zip("yx", sides, strict=True):
            self.register_buffer(axis, middles(side), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the same."""
        code = self.encoder(image * 2.0 - 1.0)
        return self.recoloured(self.moved(image, code), code)

    def moved(self, image: Tensor, code: Tensor) -> Tensor:
        """Where in the image a pixel of the new one lies: each axis scaled and shifted."""
        scale_y, scale_x, shift_y, shift_x = (REACH * torch.tanh(self.place(code))).split(1, dim=1)
        rows = between((1.0 + scale_y) * self.get_buffer("y") + shift_y)
        columns = between((1.0 + scale_x) * self.get_buffer("x") + shift_x)
        return rows[:, None] @ image @ columns[:, None].transpose(2, 3)

    def recoloured(self, image: Tensor, code: Tensor) -> Tensor:
        """Equal colours stay equal."""
        inner = self.inner(code).view(-1, self.hidden, self.depth + 1)
        outer = self.outer(code).view(-1, self.depth, self.hidden + 1)
        h = (inner @ with_ones(image.flatten(2) * 2.0 - 1.0)).relu()
        return shifted(image, torch.tanh(outer @ with_ones(h)).view_as(image))
