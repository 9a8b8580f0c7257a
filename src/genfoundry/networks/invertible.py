"""Invertible layers of normalizing flows on images: Real NVP (Dinh et al. 2017) and Glow (Kingma & Dhariwal 2018).

Called, a layer gives z = f(x) and log |det ∂z/∂x|, (N,) in nats; `inverse` gives x. N is read as `x.shape[0]`:
len(x) is a constant to torch.export.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T", bound=nn.Module)


class Invertible(nn.Module, ABC):
    """A bijection with a Jacobian whose determinant is cheap."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x → z with as many elements, and log |det ∂z/∂x| (N,)."""

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """z → x."""


class Chain(Invertible):
    """One layer after another: log-determinants add up; Glow, equation 7."""

    def __init__(self, *layers: Invertible) -> None:
        super().__init__()
        self.layers = cast(Sequence[Invertible], nn.ModuleList(layers))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """First to last."""
        total = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> Tensor:
        """Last to first; Real NVP, equation 12."""
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z


class Logit(Invertible):
    """Pixel values y in [0, levels] → logit(α + (1 − 2α) y / levels), unbounded; Real NVP, section 4.1.

    The paper writes (1 − α), whose logit is infinite at y = levels; α at both ends bounds it.
    """

    def __init__(self, alpha: float, levels: int = 256) -> None:
        super().__init__()
        self.alpha = alpha
        self.slope = (1.0 - 2.0 * alpha) / levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Elementwise, (N, ...); d logit(p) / dp = 1 / (p (1 − p))."""
        p = self.alpha + self.slope * x
        log_det = math.log(self.slope) - p.log() - torch.log1p(-p)
        return torch.logit(p), log_det.flatten(1).sum(dim=1)

    def inverse(self, z: Tensor) -> Tensor:
        """Elementwise, (N, ...); beyond logit(α) and logit(1 − α) it leaves [0, levels]."""
        return (z.sigmoid() - self.alpha) / self.slope


class Squeeze(Invertible):
    """2×2 pixels → 4 channels, (N, C, H, W) → (N, 4C, H/2, W/2); Real NVP, section 3.6.

    Spelled out: exporters have given pixel_unshuffle another order of channels, which no inverse would undo.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A permutation: log-determinant 0."""
        _, channels, height, width = x.shape
        cells = x.reshape(-1, channels, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return cells.reshape(-1, 4 * channels, height // 2, width // 2), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor) -> Tensor:
        """(N, 4C, H/2, W/2) → (N, C, H, W)."""
        _, channels, height, width = z.shape
        cells = z.reshape(-1, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        return cells.reshape(-1, channels // 4, 2 * height, 2 * width)


class ActNorm(Invertible):
    """exp(log_scale) ⊙ (x + bias) for each channel; Glow, section 3.1.

    The first batch seen in training gives bias and scale their start, with which its channels have mean 0 and
    variance 1. `initialised` is a buffer: a resumed run does not start again.
    """

    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → the same shape; log-determinant of table 1 in Glow."""
        if self.training and not self.initialised:
            self._initialise(x.detach())
        log_det = x.shape[2] * x.shape[3] * self.log_scale.sum()
        return self.log_scale.exp() * (x + self.bias), log_det.expand(x.shape[0])

    def inverse(self, z: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        return (-self.log_scale).exp() * z - self.bias

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
        self.bias.copy_(-mean)
        self.log_scale.copy_(-std.clamp_min(1e-6).log())  # a channel may be constant
        self.initialised.fill_(True)


class InvertibleConv1x1(Invertible):
    """z = W x at each pixel with W = P L (U + diag(s)), P fixed; Glow, equation 10.

    W starts as a random rotation. s = sign ⊙ exp(log_s) with fixed signs, so W stays invertible.
    """

    permutation: Tensor
    sign: Tensor
    fixed_inverse: Tensor | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(nn.init.orthogonal_(torch.empty(channels, channels)))
        s = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", s.sign())
        self.register_buffer("fixed_inverse", None)
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(s.abs().log())

    @property
    def weight(self) -> Tensor:
        """W, (C, C)."""
        lower = self.lower.tril(-1) + torch.eye(len(self.log_s), dtype=self.lower.dtype, device=self.lower.device)
        upper = self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp())
        return self.permutation @ lower @ upper

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → the same shape; h · w · Σ log |s|, equations 9 and 11."""
        log_det = x.shape[2] * x.shape[3] * self.log_s.sum()
        return F.conv2d(x, self.weight[:, :, None, None]), log_det.expand(x.shape[0])

    def inverse(self, z: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        inverse = self.inverse_weight() if self.fixed_inverse is None else self.fixed_inverse
        return F.conv2d(z, inverse[:, :, None, None])

    def inverse_weight(self) -> Tensor:
        """W⁻¹, (C, C), computed in double precision."""
        return torch.linalg.inv(self.weight.double()).to(self.log_s.dtype)


class CouplingNet(nn.Module):
    """What a coupling's scale and shift are computed by: 3×3, 1×1 and 3×3 convolutions; Glow, section 5.

    Three such layers see 5×5 pixels. Beyond the paper, `context` > 0 adds to the hidden layer what `context` units
    make of all pixels: where a network must be small, the image hangs together by it.

    Args:
        channels: of the input and of the output.
        size: (H, W).
    """

    def __init__(self, channels: tuple[int, int], hidden: int, size: tuple[int, int], context: int = 0) -> None:
        super().__init__()
        fan_in, fan_out = channels
        self.first = nn.Conv2d(fan_in, hidden, 3, padding=1)
        self.context = self._context(fan_in, hidden, size, context) if context else None
        last = nn.Conv2d(hidden, fan_out, 3, padding=1)
        self.rest = nn.Sequential(nn.ReLU(), nn.Conv2d(hidden, hidden, 1), nn.ReLU(), last)
        # A coupling is nearly the identity at first; Glow, section 3.3. Exact zeros would pass no gradient down.
        nn.init.normal_(last.weight, 0.0, 1e-3)
        nn.init.zeros_(cast(Tensor, last.bias))

    @staticmethod
    def _context(fan_in: int, hidden: int, size: tuple[int, int], units: int) -> nn.Sequential:
        spread = nn.Linear(units, hidden * math.prod(size))
        nn.init.normal_(spread.weight, 0.0, 1e-2)  # at first the paper's network, nearly
        nn.init.zeros_(spread.bias)
        gather = nn.Linear(fan_in * math.prod(size), units)
        return nn.Sequential(nn.Flatten(), gather, nn.ReLU(), spread, nn.Unflatten(1, (hidden, *size)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels[0], H, W) → (N, channels[1], H, W)."""
        hidden = self.first(x)
        return self.rest(hidden if self.context is None else hidden + self.context(x))


class AffineCoupling(Invertible):
    """One half of the channels is scaled and shifted by functions of the other; Real NVP, equations 4 and 5.

    s = scale ⊙ tanh(·) with a learned scale per channel, section 4.1, bounds how far one layer stretches.

    Args:
        net: (N, C − C // 2, H, W) → (N, 2 (C // 2), H, W).
        channels: C.
    """

    def __init__(self, net: nn.Module, channels: int) -> None:
        super().__init__()
        self.net = net
        self.scale = nn.Parameter(torch.ones(1, channels // 2, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → the same shape; log-determinant Σ s of equation 6."""
        kept, changed = x.chunk(2, dim=1)
        s, t = self._s_t(kept)
        return torch.cat([kept, changed * s.exp() + t], dim=1), s.flatten(1).sum(dim=1)

    def inverse(self, z: Tensor) -> Tensor:
        """Equation 8: no inverse of s or t is needed."""
        kept, changed = z.chunk(2, dim=1)
        s, t = self._s_t(kept)
        return torch.cat([kept, (changed - t) * (-s).exp()], dim=1)

    def _s_t(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.net(kept).chunk(2, dim=1)
        return self.scale * s.tanh(), t


class MultiScale(Invertible):
    """Levels of which each but the last gives half of its channels to the latent; Real NVP, equations 13 to 16.

    Args:
        levels: bijections of images.
        shapes: (C, H, W) of what each makes.
    """

    def __init__(self, levels: Sequence[Invertible], shapes: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.levels = cast(Sequence[Invertible], nn.ModuleList(levels))
        *finer, coarsest = shapes
        self.given = [*((channels // 2, height, width) for channels, height, width in finer), coarsest]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → (N, D): the finest level's half comes first."""
        parts, total = [], x.new_zeros(x.shape[0])
        for given, level in zip(self.given, self.levels, strict=True):
            x, log_det = level(x)
            x, part = x.split([x.shape[1] - given[0], given[0]], dim=1)
            parts.append(part.flatten(1))
            total = total + log_det
        return torch.cat(parts, dim=1), total

    def inverse(self, z: Tensor) -> Tensor:
        """(N, D) → (N, C, H, W)."""
        parts = z.split([math.prod(given) for given in self.given], dim=1)
        x = z.new_empty(z.shape[0], 0, *self.given[-1][1:])
        for given, part, level in reversed(list(zip(self.given, parts, self.levels, strict=True))):
            x = level.inverse(torch.cat([x, part.unflatten(1, given)], dim=1))
        return x


@torch.no_grad()
def with_fixed_inverses(module: T) -> T:
    """A copy whose 1×1 convolutions hold W⁻¹ as a constant: ONNX has no matrix inverse."""
    fixed = copy.deepcopy(module)
    for layer in fixed.modules():
        if isinstance(layer, InvertibleConv1x1):
            layer.fixed_inverse = layer.inverse_weight()
    return fixed
