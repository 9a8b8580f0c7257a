"""What an encoder says of the latent, mean and log-variance side by side."""

from __future__ import annotations

from torch import Tensor, nn


def reparameterised(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """A sample of N(mean, exp(log_var)) as a function of standard noise, all (N, latent_dim)."""
    return mean + (0.5 * log_var).exp() * noise


class PosteriorMean(nn.Module):
    """Images → E[z | x], (N, C, H, W) → (N, latent_dim)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        """The first half of the encoder's output; the second is the log-variance."""
        return self.encoder(image).chunk(2, dim=1)[0]
