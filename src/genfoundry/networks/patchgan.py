"""A discriminator that judges patches, not images (Isola et al. 2017, section 3.2.2)."""

from __future__ import annotations

from torch import nn

from genfoundry.networks.convnet import init_weights
from genfoundry.params import ParamsError

LEAST = 3  # pixels of a side after the halvings: of fewer, the last map that is normalised is a single pixel


def patchgan(shape: tuple[int, int, int], channels: int, halvings: int) -> nn.Sequential:
    """Images of `shape`, (N, C, H, W) → logits (N, 1, H', W'), one for each of the overlapping patches.

    The network of appendix 6.1.2.

    A patch has 16 × 16 pixels with 1 halving, 34 × 34 with 2, 70 × 70 with the paper's 3. InstanceNorm is the
    paper's BatchNorm at its batch of 1, but for the learned scale and shift.

    Raises:
        ParamsError: so small images have no such patches.
    """
    depth, height, width = shape
    if min(height, width) >> halvings < LEAST:
        raise ParamsError(f"patch_halvings: {height}×{width} pixels are too few for patches of {halvings} halvings")
    layers: list[nn.Module] = [nn.Conv2d(depth, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    fan_in = channels
    for level in range(1, halvings + 1):
        fan_out = channels * min(2**level, 8)
        stride = 2 if level < halvings else 1
        layers += [nn.Conv2d(fan_in, fan_out, 4, stride=stride, padding=1, bias=False)]
        layers += [nn.InstanceNorm2d(fan_out), nn.LeakyReLU(0.2)]
        fan_in = fan_out
    return nn.Sequential(*layers, nn.Conv2d(fan_in, 1, 4, padding=1)).apply(init_weights)
