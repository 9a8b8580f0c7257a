"""Parts of convolutional networks; an encoder and its mirror, for small images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def halvings(height: int, width: int, smallest: int = 4) -> int:
    """How often both sides can be halved exactly without falling below `smallest`."""
    shared = math.gcd(height, width)
    count = 0
    while shared % 2 == 0 and min(height, width) // 2 >= smallest:
        height, width, shared, count = height // 2, width // 2, shared // 2, count + 1
    return count


def init_weights(module: nn.Module) -> None:
    """N(0, 0.02²) for convolutions and N(1, 0.02²) for BatchNorm's scale; Radford 2016, section 4."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class ToUnit(nn.Module):
    """tanh's [-1, 1] → the contract's [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return torch.tanh(x) * 0.5 + 0.5


def shifted(image: Tensor, share: Tensor) -> Tensor:
    """Each number of an image in [0, 1] a share of its way to white where that is over 0, to black where below.

    Both (N, C, H, W), `share` in [-1, 1]. Nothing is cut off, so every pixel that is not white or black can move.
    """
    return image + share.relu() * (1.0 - image) - (-share).relu() * image


class ConvEncoder(nn.Module):
    """Images (N, C, H, W) → features (N, features): each halving doubles the channels."""

    def __init__(self, shape: tuple[int, int, int], channels: int, features: int) -> None:
        super().__init__()
        depth, height, width = shape
        layers: list[nn.Module] = []
        for level in range(halvings(height, width)):
            out = channels * 2**level
            layers += [nn.Conv2d(depth, out, 4, stride=2, padding=1), nn.SiLU()]
            depth, height, width = out, height // 2, width // 2
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(depth * height * width, features), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, features)."""
        return self.net(x)


class ConvDecoder(nn.Module):
    """Latents (N, latent_dim) → logits or values (N, C, H, W): the encoder's mirror."""

    def __init__(self, latent_dim: int, shape: tuple[int, int, int], channels: int, features: int) -> None:
        super().__init__()
        depth, height, width = shape
        levels = halvings(height, width)
        widest = channels * 2 ** (levels - 1) if levels else depth
        small = (widest, height >> levels, width >> levels)
        layers: list[nn.Module] = []
        for level in reversed(range(levels)):
            out = channels * 2 ** (level - 1) if level else depth
            layers += [nn.SiLU(), nn.ConvTranspose2d(channels * 2**level, out, 4, stride=2, padding=1)]
        self.net = nn.Sequential(
            nn.Linear(latent_dim, features),
            nn.SiLU(),
            nn.Linear(features, math.prod(small)),
            nn.Unflatten(1, small),
            *layers,
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent_dim) → (N, C, H, W)."""
        return self.net(z)
