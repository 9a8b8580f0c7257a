from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from genfoundry.contract import DataSpec
from genfoundry.models import build
from genfoundry.models.diffusion import (
    SCHEDULES,
    TARGETS,
    TO_X_0,
    Bound,
    cosine_schedule,
    discretised_normal,
    linear_schedule,
)
from genfoundry.params import ParamsError

DATA = DataSpec((1, 8, 8), ("a", "b"))
PARAMS = {
    "channels": [8],
    "patch": 2,
    "blocks": 1,
    "steps": 50,
    "sampling_steps": 5,
    "schedule": "linear",
    "prediction": "x_0",
}


class Oracle(nn.Module):
    """Knows the clean image."""

    def __init__(self, x_0: Tensor) -> None:
        super().__init__()
        self.x_0 = x_0

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return self.x_0


def model(**changes: object) -> nn.Module:
    torch.manual_seed(0)
    return build("diffusion", {**PARAMS, **changes}, DATA)


def test_the_linear_schedule_is_ho_s() -> None:
    beta = [1e-4 + (0.02 - 1e-4) * i / 999 for i in range(1000)]
    expected = math.exp(sum(math.log1p(-b) for b in beta))
    assert linear_schedule(1000)[-1].item() == pytest.approx(expected, rel=1e-9)


def test_the_cosine_schedule_is_nichol_s_where_it_is_not_clipped() -> None:
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(1001)]
    found = cosine_schedule(1000)
    for t in (0, 250, 900):
        assert found[t].item() == pytest.approx(f[t + 1] / f[0], rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [50, 1000])
def test_schedules_fall_from_nearly_one_to_nearly_zero(schedule: str, steps: int) -> None:
    found = SCHEDULES[schedule](steps)
    assert (found.diff() < 0).all()
    assert found[0] > 0.9
    assert 0 < found[-1] < 1e-3


@pytest.mark.parametrize("kind", TARGETS)
def test_min_snr_weighs_the_error_of_the_clean_image_alike_whatever_is_predicted(kind: str) -> None:
    x_t, guess, truth = torch.randn(3, 4, 1, 8, 8, dtype=torch.float64)
    alpha_bar = torch.tensor([0.99, 0.7, 0.2, 0.01], dtype=torch.float64)[:, None, None, None]
    error = (guess - truth).square() * model(prediction=kind, min_snr=5.0).weight(alpha_bar)
    of_x_0 = (TO_X_0[kind](guess, x_t, alpha_bar) - TO_X_0[kind](truth, x_t, alpha_bar)).square()
    snr = alpha_bar / (1 - alpha_bar)
    assert torch.allclose(error, torch.minimum(snr, torch.tensor(5.0)) * of_x_0)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_clean_image_follows_from_each_target(kind: str) -> None:
    x_0, epsilon = torch.randn(2, 4, 1, 8, 8, dtype=torch.float64)
    alpha_bar = torch.tensor([0.99, 0.7, 0.2, 0.01], dtype=torch.float64)[:, None, None, None]
    x_t = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * epsilon
    predicted = TARGETS[kind](x_0, epsilon, alpha_bar)
    torch.testing.assert_close(TO_X_0[kind](predicted, x_t, alpha_bar), x_0)


def test_ddim_with_a_perfect_denoiser_ends_at_the_clean_image() -> None:
    diffusion = model()
    x_0 = torch.rand(3, 1, 8, 8) * 2 - 1
    diffusion.unet = Oracle(x_0)
    image = diffusion.graphs()[0].module(torch.randn(3, 1, 8, 8))
    torch.testing.assert_close(image, x_0 * 0.5 + 0.5)


@pytest.mark.parametrize(("changes", "keys"), [({}, {"image"}), ({"guidance": 1.0}, {"image", "label"})])
def test_labels_are_needed_where_there_is_a_class_to_ask_for_and_nowhere_else(
    changes: dict[str, object], keys: set[str]
) -> None:
    batch = {"image": torch.rand(2, 1, 8, 8), "label": torch.tensor([0, 1])}
    diffusion = model(**changes)
    assert diffusion.needs == keys
    assert diffusion.loss({key: batch[key] for key in diffusion.needs}).total.isfinite()


def test_guidance_moves_away_from_the_unconditional_prediction() -> None:
    noise, label = torch.randn(2, 1, 8, 8), torch.tensor([0, 1])
    plain, guided = (model(guidance=w).graphs()[0].module(noise, label) for w in (0.0, 3.0))
    assert not torch.allclose(plain, guided)


def test_the_discretised_normal_is_a_distribution_over_the_levels() -> None:
    levels = torch.linspace(-1.0, 1.0, 256, dtype=torch.float64)
    mass = discretised_normal(levels, torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.05)).exp()
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_the_bound_is_the_kl_of_the_normals_of_equation_5() -> None:
    """Against torch's own divergence between posterior and model, at one t."""
    diffusion, image = model(), (torch.rand(2, 1, 8, 8) * 255).round() / 255
    guess = torch.rand(2, 1, 8, 8) * 2 - 1
    diffusion.unet = Oracle(guess)
    t, alpha_bar = 20, diffusion.alpha_bar
    beta = 1 - alpha_bar[t] / alpha_bar[t - 1]
    x_0, noise = image * 2 - 1, torch.randn(2, 1, 8, 8)
    x_t = alpha_bar[t].sqrt() * x_0 + (1 - alpha_bar[t]).sqrt() * noise

    def step(clean: Tensor, variance: Tensor) -> torch.distributions.Normal:
        mean = alpha_bar[t - 1].sqrt() * beta * clean + (1 - beta).sqrt() * (1 - alpha_bar[t - 1]) * x_t
        return torch.distributions.Normal(mean / (1 - alpha_bar[t]), variance.sqrt())

    lower = beta * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
    true, guessed = step(x_0, lower), step(guess, (beta * lower).sqrt())
    kl = torch.distributions.kl_divergence(true, guessed).flatten(1).sum(1)
    bound = Bound(diffusion)
    found = bound(image, noise, torch.full((2,), (t + 0.5) / 50))
    torch.testing.assert_close(found, -(50 * kl + bound.prior(x_0)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("heights", "fit"), [([4], True), ([4, 2], True), ([3], False), ([8], False)])
def test_attention_is_of_levels_that_there_are(heights: list[int], fit: bool) -> None:
    if fit:
        assert model(channels=[8, 8], attention=heights)
        return
    with pytest.raises(ParamsError, match=r"attention: the levels are \[4, 2\] pixels high, not"):
        model(channels=[8, 8], attention=heights)
