"""Denoising autoencoder (Vincent et al. 2008; 2010), convolutional."""

from __future__ import annotations

from itertools import pairwise

from pydantic import PositiveInt
from torch import nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase
from genfoundry.losses import bernoulli_nll
from genfoundry.networks.convnet import halvings
from genfoundry.params import Strict


def denoiser(channels: int, blocks: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """(N, C, H, W) → logits (N, C, H, W), through a code a quarter as high and `4 channels` deep.

    It may hold more numbers than the image: the identity does not undo a corruption (Vincent 2010, section 4.1).
    """
    depth, height, width = shape
    widths = [channels << level for level in range(1 + min(2, halvings(height, width)))]
    layers: list[nn.Module] = [nn.Conv2d(depth, channels, 3, padding=1), nn.SiLU()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), nn.SiLU()]
    for _ in range(blocks):
        layers += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.SiLU()]
    for fan_in, fan_out in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(channels, depth, 3, padding=1))


class DenoisingAutoencoder(GenerativeModel):
    """Gives back the clean image from a corrupted one, x̃ ~ q(x̃ | x)."""

    class Params(Strict):
        """`channels` at full size, doubled with each halving; `blocks` are the code's own layers."""

        channels: PositiveInt
        blocks: PositiveInt

    needs = frozenset({"image", "degraded"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.data = data
        self.network = denoiser(params.channels, params.blocks, data.shape)

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("denoiser", self.network, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy between the clean image and its reconstruction from x̃; Vincent 2008, equations 2 and 5."""
        nll = bernoulli_nll(batch["image"], self.network(batch["degraded"]))
        return Loss({"reconstruction": nll.mean()})

    def graphs(self) -> tuple[Graph, ...]:
        """`restore`: corrupted → clean."""
        image = self.data.image
        restore = nn.Sequential(self.network, nn.Sigmoid())
        return (Graph("restore", restore, {"image": image}, {"restoration": image}),)
