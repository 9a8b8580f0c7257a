"""Normalizing flow: Real NVP's multi-scale couplings (Dinh et al. 2017), Glow's steps (Kingma & Dhariwal 2018)."""

from __future__ import annotations

import math

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.networks.convnet import halvings
from genfoundry.networks.invertible import (
    ActNorm,
    AffineCoupling,
    Chain,
    CouplingNet,
    Invertible,
    InvertibleConv1x1,
    Logit,
    MultiScale,
    Squeeze,
    with_fixed_inverses,
)
from genfoundry.params import ParamsError, Strict

Shape = tuple[int, int, int]


def step(shape: Shape, hidden: int, context: int) -> Chain:
    """One step of flow on (N, C, H, W); Glow, figure 2a."""
    channels, height, width = shape
    net = CouplingNet((channels - channels // 2, channels // 2 * 2), hidden, (height, width), context)
    return Chain(ActNorm(channels), InvertibleConv1x1(channels), AffineCoupling(net, channels))


def multi_scale(shape: Shape, depth: int, hidden: int, growth: int, context: int) -> MultiScale:
    """(N, C, H, W) ↔ (N, D), squeezed as often as the sides allow; Glow, figure 2b.

    Raises:
        ParamsError: one channel that cannot be squeezed has nothing to couple.
    """
    channels, height, width = shape
    count = halvings(height, width)
    if channels < 2 and not count:
        raise ParamsError(
            f"a flow couples channels; one of {height}×{width} pixels cannot become four of 4 pixels or more"
        )
    # A squeeze makes four channels of each, and one half of them goes on to the next level.
    shapes = [(channels * 2 ** (i + 1), height >> i, width >> i) for i in range(1, count + 1)] or [shape]
    levels = []
    for index, inner in enumerate(shapes):
        seen = context if index == len(shapes) - 1 else 0  # finer maps have too many pixels for it
        steps = [step(inner, hidden * growth**index, seen) for _ in range(depth)]
        levels.append(Chain(Squeeze(), *steps) if count else Chain(*steps))
    return MultiScale(levels, shapes)


def dequantised(image: Tensor, noise: Tensor | float, levels: int) -> Tensor:
    """Images in [0, 1] and u in [0, 1) → (levels − 1) x + u in [0, levels]; Theis et al. 2016, section 3.1."""
    return (levels - 1) * image + noise


class LogProb(nn.Module):
    """log p of pixel values under a flow from a standard normal latent."""

    def __init__(self, flow: Invertible, levels: int) -> None:
        super().__init__()
        self.flow, self.levels = flow, levels

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """(N, C, H, W) twice → nats (N,): log p(z) + log |det ∂z/∂y|; Real NVP, equation 3."""
        z, log_det = self.flow(dequantised(image, noise, self.levels))
        log_normal = -0.5 * (z.square() + math.log(2.0 * math.pi)).sum(dim=1)
        return log_normal + log_det


class Encode(nn.Module):
    """Images → the latent of the middle of their pixels' bins, (N, C, H, W) → (N, D)."""

    def __init__(self, flow: Invertible, levels: int) -> None:
        super().__init__()
        self.flow, self.levels = flow, levels

    def forward(self, image: Tensor) -> Tensor:
        """z = f((levels − 1) x + 1/2)."""
        return self.flow(dequantised(image, 0.5, self.levels))[0]


class Decode(nn.Module):
    """Latents → images, (N, D) → (N, C, H, W) in [0, 1]."""

    def __init__(self, flow: Invertible, levels: int) -> None:
        super().__init__()
        self.flow, self.levels = with_fixed_inverses(flow), levels

    def forward(self, latent: Tensor) -> Tensor:
        """The inverse of `Encode`: y in [k, k + 1) rounds to the value k."""
        return ((self.flow.inverse(latent) - 0.5) / (self.levels - 1)).clamp(0.0, 1.0)


class Generate(nn.Module):
    """Noise → images of a given temperature T, (N, D) and (N,) → (N, C, H, W) in [0, 1]; Glow, section 6."""

    def __init__(self, decode: Decode) -> None:
        super().__init__()
        self.decode = decode

    def forward(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z = T ε: at T < 1 nearer to what is most likely, and less diverse."""
        return self.decode(temperature[:, None] * noise)


class Flow(GenerativeModel):
    """Maximises the exact log-likelihood of dequantised images."""

    class Params(Strict):
        """`alpha` bounds the logit; `depth` is Glow's K; `hidden` a coupling's width, times `growth` each level.

        `context` units let the couplings of the coarsest level see all of it; 0, as in Glow, lets them see 5×5.
        Samples have `temperature` where no one asks for another; Glow shows its own at 0.7.
        """

        alpha: float = Field(gt=0.0, lt=0.5)
        depth: PositiveInt
        hidden: PositiveInt
        growth: PositiveInt = 2
        context: NonNegativeInt
        temperature: float = Field(default=1.0, gt=0.0)

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data, self.dim = params, data, math.prod(data.shape)
        levels = multi_scale(data.shape, params.depth, params.hidden, params.growth, params.context)
        self.flow = Chain(Logit(params.alpha, data.levels), levels)

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("flow", self.flow, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """−log p of pixels with uniform noise, nats per image, a bound on the bytes' own; Glow, equation 2."""
        x = batch["image"]
        nll = -LogProb(self.flow, self.data.levels)(x, torch.rand_like(x)).mean()
        return Loss({"nll": nll}, {"bits_per_dim": nll / (self.dim * math.log(2.0))})

    def graphs(self) -> tuple[Graph, ...]:
        """`log_prob` with the dequantisation noise given, `generate` from N(0, T² I), `encode`, `decode`."""
        image, shape = self.data.image, ("batch", self.dim)
        uniform = TensorSpec(image.shape, "uniform")
        latent = TensorSpec(shape, "value")
        sampling = {
            "noise": TensorSpec(shape, "normal"),
            "temperature": TensorSpec(("batch",), "scalar", default=self.params.temperature),
        }
        decode = Decode(self.flow, self.data.levels)
        return (
            Graph(
                "log_prob",
                LogProb(self.flow, self.data.levels),
                {"image": image, "noise": uniform},
                {"log_prob": TensorSpec(("batch",), "value")},
            ),
            Graph("generate", Generate(decode), sampling, {"image": image}),
            Graph("encode", Encode(self.flow, self.data.levels), {"image": image}, {"latent": latent}),
            Graph("decode", decode, {"latent": latent}, {"image": image}),
        )
