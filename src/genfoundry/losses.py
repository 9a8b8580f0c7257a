"""Loss terms as pure functions, each citing its paper: of an image, (N,), or adversarial, a mean over the batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from genfoundry.contract import Loss


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared error summed over an image, (N, C, H, W) twice → (N,)."""
    return (x_hat - x).square().flatten(1).sum(dim=1)


def absolute_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Absolute error, the mean over an image, (N, C, H, W) twice → (N,)."""
    return (x_hat - x).abs().flatten(1).mean(dim=1)


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """−log p(x) in nats summed over an image, for pixels x in [0, 1]; (N,); Kingma 2014, appendix C.1."""
    # Not F.binary_cross_entropy_with_logits, whose export to ONNX overflows.
    return (F.softplus(logits) - x * logits).flatten(1).sum(dim=1)


def gaussian_nll(x: Tensor, x_hat: Tensor, sigma: float) -> Tensor:
    """−log N(x; x_hat, σ²) in nats summed over an image, (N,); Kingma 2014, appendix C.2."""
    log_normaliser = x[0].numel() * 0.5 * math.log(2.0 * math.pi * sigma**2)
    return squared_error(x, x_hat) / (2.0 * sigma**2) + log_normaliser


def normal_nll(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """−log N(x; mean, exp(log_var)) in nats, all (N, D) → (N,)."""
    gap = (x - mean).square() * (-log_var).exp()
    return 0.5 * (gap + log_var + math.log(2.0 * math.pi)).sum(dim=1)


def kl_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, 1)) in nats, (N, latent_dim) twice → (N,); Kingma 2014, appendix B."""
    zero = torch.zeros_like(mean)
    return kl_normal(mean, log_var, zero, zero)


def kl_normal(mean: Tensor, log_var: Tensor, prior_mean: Tensor, prior_log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(prior_mean, exp(prior_log_var))) in nats, all (N, latent_dim) → (N,)."""
    gap = (mean - prior_mean).square() / prior_log_var.exp()
    ratio = log_var - prior_log_var
    return 0.5 * (gap + ratio.exp() - 1.0 - ratio).sum(dim=1)


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Loss:
    """−V(D, G) of equation 1 in Goodfellow 2014, logits (N, 1) twice; what D gives each side is watched."""
    return Loss(
        {"real": F.softplus(-real_logits).mean(), "fake": F.softplus(fake_logits).mean()},
        {"real_probability": real_logits.sigmoid().mean(), "fake_probability": fake_logits.sigmoid().mean()},
    )


def discriminator_hinge(real_logits: Tensor, fake_logits: Tensor) -> Loss:
    """Margins of 1 to both sides: Lim & Ye 2017, equation 12; logits (N, 1) twice."""
    return Loss(
        {"real": F.relu(1.0 - real_logits).mean(), "fake": F.relu(1.0 + fake_logits).mean()},
        {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()},
    )


def discriminator_least_squares(real_logits: Tensor, fake_logits: Tensor) -> Loss:
    """Equation 9 of Mao et al. 2017: 1 for what is real, 0 for what is not; logits of any shape."""
    return Loss(
        {"real": 0.5 * (real_logits - 1.0).square().mean(), "fake": 0.5 * fake_logits.square().mean()},
        {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()},
    )


def critic(real_logits: Tensor, fake_logits: Tensor) -> Loss:
    """−(E f(x) − E f(G(z))), a bound on the Wasserstein distance for 1-Lipschitz f: Arjovsky 2017, equation 2."""
    distance = real_logits.mean() - fake_logits.mean()
    return Loss({"critic": -distance}, {"wasserstein": distance})


def generator_minimax(logits: Tensor) -> Tensor:
    """E log(1 − D(G(z))), which saturates where D wins; equation 1 in Goodfellow 2014."""
    return -F.softplus(logits).mean()


def generator_non_saturating(logits: Tensor) -> Tensor:
    """−E log D(G(z)), the same fixed point with stronger gradients early; Goodfellow 2014, section 3."""
    return F.softplus(-logits).mean()


def generator_linear(logits: Tensor) -> Tensor:
    """−E D(G(z)), the generator's side of the hinge and of the Wasserstein game."""
    return -logits.mean()


def generator_least_squares(logits: Tensor) -> Tensor:
    """½ E(D(G(z)) − 1)²; equation 9 of Mao et al. 2017."""
    return 0.5 * (logits - 1.0).square().mean()


def saturation(logits: Tensor) -> dict[str, Tensor]:
    """E|∂/∂logit| of both generator losses at logits (N, 1): D(G(z)) for minimax, 1 − D(G(z)) for the other.

    The first vanishes where D wins: Goodfellow 2014, section 3; Arjovsky & Bottou 2017, theorem 2.4.
    """
    taken_for_real = logits.sigmoid().mean()
    return {"slope_minimax": taken_for_real, "slope_non_saturating": 1.0 - taken_for_real}


GENERATOR = {
    "minimax": generator_minimax,
    "non_saturating": generator_non_saturating,
    "hinge": generator_linear,
    "wasserstein": generator_linear,
}

DISCRIMINATOR = {
    "minimax": discriminator,
    "non_saturating": discriminator,
    "hinge": discriminator_hinge,
    "wasserstein": critic,
}


def squared_slope(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∂D/∂x‖² of each image, (N, C, H, W) → (N,), itself differentiable."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(dim=1)


def r1(network: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """½ E‖∂D/∂x‖² at real images: Mescheder et al. 2018, equation 9."""
    return 0.5 * squared_slope(network, real).mean()


def path_lengths(image: Tensor, w: Tensor) -> Tensor:
    """‖J_wᵀ y‖ for y ~ N(0, 1)/√(H·W), of images (N, C, H, W) made from w (N, layers, w_dim) → (N,).

    Itself differentiable. Karras et al. 2020, equation 4; y and the mean of squares over layers are those of the
    authors' code, so that lengths grow with neither the image nor the layers.
    """
    y = torch.randn_like(image) / math.sqrt(image.shape[2] * image.shape[3])
    (slope,) = torch.autograd.grad((image * y).sum(), w, create_graph=True)
    return (slope.square().sum(dim=2).mean(dim=1) + 1e-12).sqrt()  # no infinite slope of √ at 0


def gradient_penalty(network: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E(‖∂f/∂x‖ − 1)² on lines between real and generated images: Gulrajani et al. 2017, equation 3."""
    t = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    slope = (squared_slope(network, t * real + (1.0 - t) * fake) + 1e-12).sqrt()  # no infinite slope of √ at 0
    return (slope - 1.0).square().mean()
