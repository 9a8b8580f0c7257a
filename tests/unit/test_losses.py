from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F

from genfoundry import losses

torch.manual_seed(0)
X = torch.rand(5, 2, 3, 4, dtype=torch.float64)
LOGITS = 3 * torch.randn(5, 2, 3, 4, dtype=torch.float64)
REAL, FAKE = 4 * torch.randn(7, 1, dtype=torch.float64), 4 * torch.randn(7, 1, dtype=torch.float64)


def per_image(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).sum(1)


def test_squared_error_is_summed_over_each_image() -> None:
    torch.testing.assert_close(losses.squared_error(X, LOGITS), per_image((X - LOGITS) ** 2))
    assert not losses.squared_error(X, X).any()


def test_absolute_error_is_the_mean_over_each_image() -> None:
    expected = torch.stack([F.l1_loss(x_hat, x) for x, x_hat in zip(X, LOGITS, strict=True)])
    torch.testing.assert_close(losses.absolute_error(X, LOGITS), expected)


@pytest.mark.parametrize("x", [X, X.round()])
def test_bernoulli_nll_is_the_distribution_s(x: torch.Tensor) -> None:
    expected = per_image(-Bernoulli(logits=LOGITS, validate_args=False).log_prob(x))
    torch.testing.assert_close(losses.bernoulli_nll(x, LOGITS), expected)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_gaussian_nll_is_the_distribution_s(sigma: float) -> None:
    expected = per_image(-Normal(LOGITS, sigma).log_prob(X))
    torch.testing.assert_close(losses.gaussian_nll(X, LOGITS, sigma), expected, rtol=1e-6, atol=0)


def test_normal_nll_is_the_distribution_s() -> None:
    x, mean, log_var = torch.randn(3, 5, 4, dtype=torch.float64)
    expected = -Normal(mean, (0.5 * log_var).exp()).log_prob(x).sum(1)
    torch.testing.assert_close(losses.normal_nll(x, mean, log_var), expected)


def test_kl_is_the_distributions_and_zero_at_the_prior() -> None:
    mean, log_var = torch.randn(2, 6, 4, dtype=torch.float64)
    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), prior).sum(1)
    torch.testing.assert_close(losses.kl_standard_normal(mean, log_var), expected)
    assert not losses.kl_standard_normal(torch.zeros(3, 2), torch.zeros(3, 2)).any()


def test_kl_between_normals_is_the_distributions() -> None:
    mean, log_var, prior_mean, prior_log_var = torch.randn(4, 6, 3, dtype=torch.float64)
    p, q = Normal(prior_mean, (0.5 * prior_log_var).exp()), Normal(mean, (0.5 * log_var).exp())
    torch.testing.assert_close(
        losses.kl_normal(mean, log_var, prior_mean, prior_log_var), kl_divergence(q, p).sum(1)
    )


def test_path_lengths_are_those_of_the_jacobian() -> None:
    w = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    mix = torch.randn(6, 4, 2 * 3 * 5, dtype=torch.float64)

    def image(one: torch.Tensor) -> torch.Tensor:
        return torch.einsum("...ld,ldp->...p", one, mix).sin().unflatten(-1, (2, 3, 5))

    torch.manual_seed(1)
    found = losses.path_lengths(image(w), w)
    torch.manual_seed(1)
    y = torch.randn(3, 2, 3, 5, dtype=torch.float64) / 15**0.5
    for n in range(3):
        jacobian = torch.autograd.functional.jacobian(image, w[n].detach())  # (2, 3, 5, 6, 4)
        expected = torch.einsum("chwld,chw->ld", jacobian, y[n]).norm() / 6**0.5  # of the layers' mean square
        torch.testing.assert_close(found[n], expected)
    (slope,) = torch.autograd.grad(found.sum(), w)
    assert slope.abs().sum() > 0


def test_discriminator_is_cross_entropy_with_what_each_side_is() -> None:
    loss = losses.discriminator(REAL, FAKE)
    expected = F.binary_cross_entropy_with_logits(
        torch.cat([REAL, FAKE]), torch.cat([torch.ones_like(REAL), torch.zeros_like(FAKE)]), reduction="sum"
    )
    torch.testing.assert_close(loss.total, expected / len(REAL))
    torch.testing.assert_close(loss.watched["real_probability"], REAL.sigmoid().mean())
    torch.testing.assert_close(loss.watched["fake_probability"], FAKE.sigmoid().mean())


@pytest.mark.parametrize(
    ("name", "sign", "target"), [("non_saturating", 1, torch.ones_like), ("minimax", -1, torch.zeros_like)]
)
def test_generator_losses_are_cross_entropies(name: str, sign: int, target) -> None:
    expected = sign * F.binary_cross_entropy_with_logits(FAKE, target(FAKE))
    torch.testing.assert_close(losses.GENERATOR[name](FAKE), expected)


@pytest.mark.parametrize("loss", [*losses.GENERATOR.values(), lambda x: losses.discriminator(x, x).total])
def test_confident_logits_stay_finite(loss) -> None:
    logits = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    loss(logits).backward()
    assert loss(logits).isfinite()
    assert logits.grad.isfinite().all()


def test_only_the_saturating_generator_starves_when_it_loses() -> None:
    gradients = {}
    for name, loss in losses.GENERATOR.items():
        logits = torch.full((1, 1), -20.0, requires_grad=True)
        loss(logits).backward()
        gradients[name] = abs(float(logits.grad))
    assert gradients["minimax"] < 1e-6 < 0.99 < gradients["non_saturating"]


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_what_is_watched_is_the_slope_of_each_loss(name: str) -> None:
    logits = FAKE.clone().requires_grad_()
    losses.GENERATOR[name](logits).backward()
    slope = logits.grad.abs().sum()  # of a mean: each logit's is 1/N of its own
    torch.testing.assert_close(losses.saturation(FAKE)[f"slope_{name}"], slope)


@pytest.mark.parametrize("name", ["hinge", "wasserstein"])
def test_in_linear_games_the_generator_undoes_the_discriminator_s_fake_side(name: str) -> None:
    fake = torch.zeros(5, 1, dtype=torch.float64, requires_grad=True)
    losses.DISCRIMINATOR[name](REAL, fake).total.backward()
    against = fake.grad.clone()
    fake.grad = None
    losses.GENERATOR[name](fake).backward()
    torch.testing.assert_close(fake.grad, -against)


def test_the_hinge_is_content_beyond_its_margins() -> None:
    assert losses.discriminator_hinge(torch.tensor([[1.5]]), torch.tensor([[-1.5]])).total == 0
    assert losses.discriminator_hinge(torch.tensor([[0.0]]), torch.tensor([[0.5]])).total == 2.5


def test_least_squares_pull_logits_to_what_each_side_is() -> None:
    ones, zeros = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    assert losses.discriminator_least_squares(ones, zeros).total == 0
    assert losses.discriminator_least_squares(zeros, ones).total == losses.generator_least_squares(-ones) / 2 == 1
    assert losses.generator_least_squares(ones) == 0


def linear(weight: torch.Tensor):
    return lambda x: (x * weight).flatten(1).sum(1, keepdim=True)


def test_penalties_of_a_linear_discriminator_follow_from_its_weight() -> None:
    weight = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    slope = weight.square().sum()
    torch.testing.assert_close(losses.r1(linear(weight), X), 0.5 * slope)
    torch.testing.assert_close(losses.gradient_penalty(linear(weight), X, LOGITS), (slope.sqrt() - 1).square())
    losses.r1(linear(weight), X).backward()
    torch.testing.assert_close(weight.grad, weight.detach())
