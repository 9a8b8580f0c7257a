"""Denoising diffusion (Ho, Jain & Abbeel 2020), sampled by DDIM (Song, Meng & Ermon 2021)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, Scan, TensorSpec
from genfoundry.networks.unet import GROUPS, UNet
from genfoundry.params import ParamsError, Strict


def linear_schedule(steps: int) -> Tensor:
    """ᾱ_t for β from 1e-4 to 0.02 in 1000 steps, Ho 2020, section 4; steeper in as many fewer. (steps,) float64."""
    scale = 1000.0 / steps
    return (1.0 - torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64).clamp(max=0.999)).cumprod(
        0
    )


def cosine_schedule(steps: int) -> Tensor:
    """ᾱ_t of Nichol & Dhariwal 2021, equation 17, with s = 0.008 and β at most 0.999. (steps,) float64."""
    t = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    f = ((t + 0.008) / 1.008 * math.pi / 2.0).cos().square()
    return (1.0 - (1.0 - f[1:] / f[:-1]).clamp(max=0.999)).cumprod(0)


SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule}


def target_epsilon(x_0: Tensor, epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    """ε itself: Ho 2020, equation 14."""
    return epsilon


def target_x_0(x_0: Tensor, epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    """x₀ itself."""
    return x_0


def target_v(x_0: Tensor, epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    """v = √ᾱ ε − √(1 − ᾱ) x₀: Salimans & Ho 2022, section 4."""
    return alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * x_0


TARGETS = {"epsilon": target_epsilon, "x_0": target_x_0, "v": target_v}

#: What is predicted → x₀, given x_t and ᾱ_t: the targets' inverses.
TO_X_0 = {
    "epsilon": lambda predicted, x_t, alpha_bar: (x_t - (1.0 - alpha_bar).sqrt() * predicted) / alpha_bar.sqrt(),
    "x_0": lambda predicted, x_t, alpha_bar: predicted,
    "v": lambda predicted, x_t, alpha_bar: alpha_bar.sqrt() * x_t - (1.0 - alpha_bar).sqrt() * predicted,
}

#: Squared error of the prediction / of the x₀ that it stands for, given the SNR: Hang et al. 2023, section 3.4.
PER_X_0 = {"epsilon": lambda snr: snr, "x_0": torch.ones_like, "v": lambda snr: snr + 1.0}


class DDIMStep(nn.Module):
    """x_t → x_s for s < t, deterministic: Song 2021, equation 12 with σ = 0."""

    def __init__(self, model: Diffusion) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, x_t: Tensor, t: Tensor, alpha_bar: Tensor, alpha_bar_s: Tensor, label: Tensor | None = None
    ) -> Tensor:
        """(N, C, H, W), three scalars () and, with classes, (N,) int64 → (N, C, H, W)."""
        x_0 = self.model.guided_x_0(x_t, t[None], alpha_bar, label)
        epsilon = (x_t - alpha_bar.sqrt() * x_0) / (1.0 - alpha_bar).sqrt()
        return alpha_bar_s.sqrt() * x_0 + (1.0 - alpha_bar_s).sqrt() * epsilon


class Bound(nn.Module):
    """Images and randomness → an estimate of each image's ELBO, of 8-bit values, in nats.

    It is unbiased but for the floor under a level's probability, which is that of Ho 2020's code.
    """

    def __init__(self, model: Diffusion) -> None:
        super().__init__()
        self.model = model
        self.spread: Tensor
        self.weight: Tensor
        for name, table in zip(("spread", "weight"), step_kl(model.alpha_bar), strict=True):
            self.register_buffer(name, table[:, None, None, None], persistent=False)

    def forward(self, image: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """(N, C, H, W) twice and (N,) in [0, 1) → (N,): one of the T terms of Ho 2020, equation 5, T times."""
        model, x_0 = self.model, image * 2.0 - 1.0
        t = (time * model.steps).long().clamp(max=model.steps - 1)
        now = model.alpha_bar[t][:, None, None, None]
        x_t = now.sqrt() * x_0 + (1.0 - now).sqrt() * noise
        guess = model.x_0(x_t, t / model.steps, now)
        kl = self.spread[t] + self.weight[t] * (x_0 - guess).square()
        decoded = discretised_normal(x_0, guess, (1.0 - model.alpha_bar[0]).sqrt())
        term = torch.where(t[:, None, None, None] > 0, kl, -decoded)
        return -(term.flatten(1).sum(dim=1) * model.steps + self.prior(x_0))

    def prior(self, x_0: Tensor) -> Tensor:
        """KL(q(x_T | x₀) ‖ N(0, 1)), (N,): L_T of equation 5."""
        last = self.model.alpha_bar[-1]
        return 0.5 * (last * x_0.square() - last - (1.0 - last).log()).flatten(1).sum(dim=1)


def step_kl(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """(T,) twice: s and w of a pixel's KL(q(x_s | x_t, x₀) ‖ p(x_s | x_t)) = s + w (x₀ − guess)²; 0 at the first t.

    The variances are β̃ and √(β β̃). Ho 2020, section 3.2, has β̃ and β as extremes for p; the best one is near their
    geometric mean while the guess is poor (Nichol & Dhariwal 2021, equation 15, learn the place).
    """
    alpha_bar = alpha_bar.double()
    before, now = alpha_bar[:-1], alpha_bar[1:]
    beta = 1.0 - now / before
    ratio = ((1.0 - before) / (1.0 - now)).sqrt()  # of the variances; that of p is β times it
    spread = 0.5 * (ratio - 1.0 - ratio.log())
    weight = before * beta / (2.0 * ratio * (1.0 - now).square())  # of the means: equation 7
    return tuple(nn.functional.pad(table, (1, 0)).float() for table in (spread, weight))  # type: ignore[return-value]


def discretised_normal(x_0: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """log of the mass of x₀'s bin of 1/255 to each side, the outer bins open: Ho 2020, equation 13."""

    def cdf(x: Tensor) -> Tensor:
        return 0.5 * (1.0 + torch.erf((x - mean) / (sigma * math.sqrt(2.0))))

    above = torch.where(x_0 > 0.999, torch.ones_like(x_0), cdf(x_0 + 1.0 / 255.0))
    below = torch.where(x_0 < -0.999, torch.zeros_like(x_0), cdf(x_0 - 1.0 / 255.0))
    return (above - below).clamp(min=1e-12).log()


class ToUnit(nn.Module):
    """[-1, 1] → the contract's [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return (x * 0.5 + 0.5).clamp(0.0, 1.0)


class Diffusion(GenerativeModel):
    """Learns to undo one small step of noise at a time."""

    class Params(Strict):
        """`channels` of the U-Net's levels; `guidance` makes the model class-conditional and is its strength."""

        channels: tuple[Annotated[int, Field(gt=0, multiple_of=GROUPS)], ...] = Field(min_length=1)
        patch: PositiveInt
        blocks: PositiveInt
        attention: tuple[PositiveInt, ...] = ()  # heights of the levels whose blocks attend; Ho 2020 has 16
        dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
        steps: PositiveInt  # T, of the diffusion
        sampling_steps: PositiveInt  # of DDIM
        schedule: Literal["linear", "cosine"]
        prediction: Literal["epsilon", "x_0", "v"]
        min_snr: PositiveFloat | None = None  # γ of Hang et al. 2023: sooner good samples, a looser bound
        guidance: float | None = Field(default=None, ge=0.0)
        label_dropout: float = Field(default=0.1, gt=0.0, lt=1.0)  # Ho & Salimans 2022, section 3.2

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data, self.steps = params, data, params.steps
        self.classes = len(data.classes) if params.guidance is not None else 0
        # Of this very model: guidance decides.
        self.needs = frozenset({"image"} if params.guidance is None else {"image", "label"})
        block = params.patch * 2 ** (len(params.channels) - 1)
        if any(side % block for side in data.shape[1:]):
            raise ParamsError(f"patch and channels want sides that are multiples of {block}, not {data.shape[1:]}")
        heights = [data.shape[1] // params.patch >> level for level in range(len(params.channels))]
        if not {*params.attention} <= {*heights}:
            raise ParamsError(f"attention: the levels are {heights} pixels high, not {list(params.attention)}")
        nothing = 1 if self.classes else 0  # the class that stands for none
        sizes = (data.shape, params.channels, params.patch, params.blocks, self.classes + nothing)
        self.unet = UNet(*sizes, params.attention, params.dropout)
        self.alpha_bar: Tensor
        self.register_buffer("alpha_bar", SCHEDULES[params.schedule](params.steps).float(), persistent=False)

    def phases(self) -> tuple[Phase, ...]:
        """One: algorithm 1 of Ho 2020."""
        return (Phase("denoiser", self.unet, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """Squared error of the prediction at a random t, mean over pixels: Ho 2020, equation 14, weighted."""
        x_0 = batch["image"] * 2.0 - 1.0
        t = torch.randint(self.steps, (len(x_0),), device=x_0.device)
        epsilon = torch.randn_like(x_0)
        alpha_bar = self.alpha_bar[t][:, None, None, None]
        x_t = alpha_bar.sqrt() * x_0 + (1.0 - alpha_bar).sqrt() * epsilon  # equation 4
        label = self.dropped(batch["label"]) if self.classes else None
        predicted = self.unet(x_t, t / self.steps, label)
        target = TARGETS[self.params.prediction](x_0, epsilon, alpha_bar)
        return Loss({"mse": (self.weight(alpha_bar) * (predicted - target).square()).mean()})

    def weight(self, alpha_bar: Tensor) -> Tensor:
        """That of x₀'s error is min(SNR, γ): Hang et al. 2023, section 3.4; 1 for any prediction without a γ."""
        if self.params.min_snr is None:
            return torch.ones_like(alpha_bar)
        snr = alpha_bar / (1.0 - alpha_bar)
        return snr.clamp(max=self.params.min_snr) / PER_X_0[self.params.prediction](snr)

    def dropped(self, label: Tensor) -> Tensor:
        """Labels, some of them replaced by none: Ho & Salimans 2022, algorithm 1."""
        gone = torch.rand(label.shape, device=label.device) < self.params.label_dropout
        return torch.where(gone, self.classes, label)

    def x_0(self, x_t: Tensor, t: Tensor, alpha_bar: Tensor, label: Tensor | None = None) -> Tensor:
        """The clean image that the prediction stands for, inside its range."""
        predicted = self.unet(x_t, t, label)
        return TO_X_0[self.params.prediction](predicted, x_t, alpha_bar).clamp(-1.0, 1.0)

    def guided_x_0(self, x_t: Tensor, t: Tensor, alpha_bar: Tensor, label: Tensor | None) -> Tensor:
        """Away from the unconditional prediction: Ho & Salimans 2022, equation 6, of x₀ in place of ε."""
        if label is None:
            return self.x_0(x_t, t, alpha_bar)
        both = torch.cat([label, torch.full_like(label, self.classes)])
        given, free = self.x_0(torch.cat([x_t, x_t]), t, alpha_bar, both).chunk(2)
        return (given + float(self.params.guidance or 0.0) * (given - free)).clamp(-1.0, 1.0)

    def graphs(self) -> tuple[Graph, ...]:
        """`generate`: all steps of DDIM in one file; `elbo` where there are no classes to condition on."""
        image, batch = self.data.image, ("batch",)
        noise = TensorSpec(("batch", *self.data.shape), "normal")
        label = {"label": TensorSpec(batch, "label", high=self.classes, dtype="int64")} if self.classes else {}
        generate = Graph("generate", self.sampler(), {"noise": noise, **label}, {"image": image})
        if self.classes:
            return (generate,)
        inputs = {"image": image, "noise": noise, "time": TensorSpec(batch, "uniform")}
        return (generate, Graph("elbo", Bound(self), inputs, {"elbo": TensorSpec(batch, "value")}))

    def sampler(self) -> Scan:
        """DDIM over evenly spaced times, from T − 1 to 0: Song 2021, section 4.2."""
        chosen = torch.linspace(self.steps - 1, 0, self.params.sampling_steps, device=self.alpha_bar.device)
        t = chosen.round().long()
        now = self.alpha_bar[t]
        rows = {
            "t": t / self.steps,
            "alpha_bar": now,
            "alpha_bar_s": torch.cat([now[1:], torch.ones_like(now[:1])]),
        }
        return Scan(DDIMStep(self), rows, ToUnit())
