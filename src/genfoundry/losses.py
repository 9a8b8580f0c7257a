"""Loss terms as pure functions, each citing its paper. Reductions are means over the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from genfoundry.contract import Loss


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared error summed over an image, (N, C, H, W) twice → scalar."""
    return F.mse_loss(x_hat, x, reduction="sum") / len(x)


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """−log p(x) in nats summed over an image, for pixels x in [0, 1]; Kingma 2014, appendix C.1."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def gaussian_nll(x: Tensor, x_hat: Tensor, sigma: float) -> Tensor:
    """−log N(x; x_hat, σ²) in nats summed over an image; Kingma 2014, appendix C.2."""
    log_normaliser = x[0].numel() * 0.5 * torch.tensor(2.0 * torch.pi * sigma**2).log()
    return squared_error(x, x_hat) / (2.0 * sigma**2) + log_normaliser


def perceptual(x: Tensor, x_hat: Tensor, network: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A network's distances (N,) between images (N, C, H, W) → scalar; equation 1 of Zhang 2018 with its LPIPS."""
    return network(x, x_hat).mean()


def kl_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, 1)) in nats, (N, latent_dim) twice → scalar; Kingma 2014, appendix B."""
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(dim=1).mean()


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Loss:
    """−V(D, G) of equation 1 in Goodfellow 2014, logits (N, 1) twice; what D gives each side is watched."""
    return Loss(
        {"real": F.softplus(-real_logits).mean(), "fake": F.softplus(fake_logits).mean()},
        {"real_probability": real_logits.sigmoid().mean(), "fake_probability": fake_logits.sigmoid().mean()},
    )


def generator_minimax(logits: Tensor) -> Tensor:
    """E log(1 − D(G(z))), which saturates where D wins; equation 1 in Goodfellow 2014."""
    return -F.softplus(logits).mean()


def generator_non_saturating(logits: Tensor) -> Tensor:
    """−E log D(G(z)), the same fixed point with stronger gradients early; Goodfellow 2014, section 3."""
    return F.softplus(-logits).mean()


GENERATOR = {"minimax": generator_minimax, "non_saturating": generator_non_saturating}
