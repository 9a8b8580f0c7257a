"""What an encoder says of the latent."""

from __future__ import annotations

from torch import Tensor, nn


class PosteriorMean(nn.Module):
    """Images → E[z | x], (N, C, H, W) → (N, latent_dim)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        """The first half of the encoder's output; the second is the log-variance."""
        return self.encoder(image).chunk(2, dim=1)[0]
