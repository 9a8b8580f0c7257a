"""Inception-2015, the network that FID is defined on, as a feature extractor.

Szegedy et al. 2016 ("Rethinking the Inception Architecture"), table 1, figures 5 to 7 and 10, with what sets the
published TensorFlow graph apart: averages leave padding out, and the last block takes a maximum where it is to
average. Heusel et al. 2017 measured with it as it is, so scores keep that. Modules are named as their published
tensors are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.data import DataError

FEATURES, SIZE = 2048, 299
MEAN = STD = 128 / 255  # of the pixels in [0, 1] that it was trained on: (x − 128) / 128 of bytes

Kernel = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution, BatchNorm without a scale, ReLU."""

    def __init__(self, fan_in: int, fan_out: int, kernel: Kernel, stride: int = 1, valid: bool = False) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride, self.padding = stride, (0, 0) if valid else (height // 2, width // 2)
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(fan_out, fan_in, height, width)))
        self.beta = nn.Parameter(torch.zeros(fan_out))
        self.mean: Tensor
        self.var: Tensor
        self.register_buffer("mean", torch.zeros(fan_out))
        self.register_buffer("var", torch.ones(fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        x = F.conv2d(x, self.weight, None, self.stride, self.padding)
        return F.relu(F.batch_norm(x, self.mean, self.var, None, self.beta, eps=1e-3))


class Pool(nn.Module):
    """3 × 3: the average of what is there, or the maximum; or, with a stride, the maximum of what lies inside."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same, or half of each side."""
        if self.kind == "average":
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return F.max_pool2d(x, 3, 1, 1) if self.kind == "maximum" else F.max_pool2d(x, 3, 2)


def tower(*layers: nn.Module) -> nn.Sequential:
    """Layers by the published names: `pool`, `conv`, `conv_1` …"""
    found, convolutions = nn.Sequential(), 0
    for layer in layers:
        if isinstance(layer, Pool):
            found.add_module("pool", layer)
        else:
            found.add_module(f"conv_{convolutions}" if convolutions else "conv", layer)
            convolutions += 1
    return found


class Branches(nn.Module):
    """Several ways through, side by side in the channels; by name, in the order of the output."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, ΣC', H', W')."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def block_a(fan_in: int, pooled: int) -> Branches:
    """Figure 5, 35 × 35."""
    return Branches(
        conv=Conv(fan_in, 64, 1),
        tower=tower(Conv(fan_in, 48, 1), Conv(48, 64, 5)),
        tower_1=tower(Conv(fan_in, 64, 1), Conv(64, 96, 3), Conv(96, 96, 3)),
        tower_2=tower(Pool("average"), Conv(fan_in, pooled, 1)),
    )


def reduction_b(fan_in: int) -> Branches:
    """Figure 10, 35 × 35 → 17 × 17."""
    return Branches(
        conv=Conv(fan_in, 384, 3, 2, valid=True),
        tower=tower(Conv(fan_in, 64, 1), Conv(64, 96, 3), Conv(96, 96, 3, 2, valid=True)),
        pool=Pool("reduce"),
    )


def block_c(fan_in: int, c: int) -> Branches:
    """Figure 6, 17 × 17, n = 7."""
    rows, columns = (1, 7), (7, 1)
    return Branches(
        conv=Conv(fan_in, 192, 1),
        tower=tower(Conv(fan_in, c, 1), Conv(c, c, rows), Conv(c, 192, columns)),
        tower_1=tower(
            Conv(fan_in, c, 1), Conv(c, c, columns), Conv(c, c, rows), Conv(c, c, columns), Conv(c, 192, rows)
        ),
        tower_2=tower(Pool("average"), Conv(fan_in, 192, 1)),
    )


def reduction_d(fan_in: int) -> Branches:
    """17 × 17 → 8 × 8."""
    separated = Conv(192, 192, (1, 7)), Conv(192, 192, (7, 1))
    return Branches(
        tower=tower(Conv(fan_in, 192, 1), Conv(192, 320, 3, 2, valid=True)),
        tower_1=tower(Conv(fan_in, 192, 1), *separated, Conv(192, 192, 3, 2, valid=True)),
        pool=Pool("reduce"),
    )


class BlockE(nn.Module):
    """Figure 7, 8 × 8: two of the ways fork at their end."""

    def __init__(self, fan_in: int, pool: str) -> None:
        super().__init__()
        self.conv = Conv(fan_in, 320, 1)
        self.tower_conv = Conv(fan_in, 384, 1)
        self.tower_mixed_conv, self.tower_mixed_conv_1 = Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1))
        self.tower_1_conv, self.tower_1_conv_1 = Conv(fan_in, 448, 1), Conv(448, 384, 3)
        self.tower_1_mixed_conv, self.tower_1_mixed_conv_1 = Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1))
        self.tower_2_pool, self.tower_2_conv = Pool(pool), Conv(fan_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 8, 8) → (N, 2048, 8, 8)."""
        a, b = self.tower_conv(x), self.tower_1_conv_1(self.tower_1_conv(x))
        forks = [self.tower_mixed_conv(a), self.tower_mixed_conv_1(a)]
        forks += [self.tower_1_mixed_conv(b), self.tower_1_mixed_conv_1(b)]
        return torch.cat([self.conv(x), *forks, self.tower_2_conv(self.tower_2_pool(x))], dim=1)


class Inception(nn.Module):
    """Normalised RGB images → pooled features before the classifier: (N, 3, 299, 299) → (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {
            "conv": Conv(3, 32, 3, 2, valid=True),
            "conv_1": Conv(32, 32, 3, valid=True),
            "conv_2": Conv(32, 64, 3),
            "pool0": Pool("reduce"),
            "conv_3": Conv(64, 80, 1),
            "conv_4": Conv(80, 192, 3, valid=True),
            "pool1": Pool("reduce"),
        }
        blocks: list[nn.Module] = [block_a(192, 32), block_a(256, 64), block_a(288, 64), reduction_b(288)]
        blocks += [block_c(768, c) for c in (128, 160, 160, 192)]
        blocks += [reduction_d(768), BlockE(1280, "average"), BlockE(2048, "maximum")]
        layers |= {f"mixed_{n}" if n else "mixed": block for n, block in enumerate(blocks)}
        self.layers = nn.Sequential()
        for name, layer in layers.items():
            self.layers.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 299, 299), normalised by MEAN and STD → (N, 2048), none below 0."""
        return self.layers(x).mean(dim=(2, 3))

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of `inception_2015` by their published names.

        Raises:
            DataError: they are of another network.
        """
        try:
            self.load_state_dict({name.removeprefix("net."): tensor for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise DataError(f"these are not the weights of Inception-2015: {str(error)[:200]}") from None
