"""Unpaired image-to-image translation by cycle consistency (Zhu et al. 2017)."""

from __future__ import annotations

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase
from genfoundry.networks.convnet import halvings, init_weights, shifted
from genfoundry.networks.patchgan import patchgan
from genfoundry.params import Strict


def normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
    """The layers of a block: InstanceNorm takes the place of a bias."""
    return [convolution, nn.InstanceNorm2d(channels), nn.ReLU()]


def upscaling(fan_in: int, fan_out: int) -> list[nn.Module]:
    """Sides twice as long, without a transposed convolution, whose grid shows (Odena et al. 2016)."""
    return [nn.Upsample(scale_factor=2.0), *normed(nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), fan_out)]


class Residual(nn.Module):
    """x + two convolutions; appendix 7.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.net = nn.Sequential(*normed(first, channels), last, nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → the same."""
        return x + self.net(x)


class ResNetGenerator(nn.Module):
    """Down by 4 where the sides allow it, residual blocks, up again; appendix 7.2.

    The last map says how the image is to change: edges of small images would else be lost on the way down.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, blocks: int) -> None:
        super().__init__()
        depth, height, width = shape
        levels = min(2, halvings(height, width))
        widths = [channels << level for level in range(levels + 1)]
        layers = normed(nn.Conv2d(depth, channels, 7, padding=3, bias=False), channels)
        for fan_in in widths[:-1]:
            layers += normed(nn.Conv2d(fan_in, 2 * fan_in, 3, stride=2, padding=1, bias=False), 2 * fan_in)
        layers += [Residual(widths[-1]) for _ in range(blocks)]
        for fan_out in reversed(widths[:-1]):
            layers += upscaling(2 * fan_out, fan_out)
        self.net = nn.Sequential(*layers, nn.Conv2d(channels, depth, 7, padding=3), nn.Tanh()).apply(init_weights)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the same."""
        return shifted(image, self.net(image * 2.0 - 1.0))


class ImagePool(nn.Module):
    """Past translations, so that a discriminator remembers what it has seen; section 4, Shrivastava et al. 2017.

    A buffer, so that a checkpoint holds it.
    """

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.images: Tensor
        self.filled: Tensor
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.tensor(0))

    def forward(self, fresh: Tensor) -> Tensor:
        """(N, C, H, W) → the same, where each is by even odds an older one, whose place the fresh one takes."""
        return torch.stack([self.exchange(image) for image in fresh])

    def exchange(self, image: Tensor) -> Tensor:
        """(C, H, W) → the same; until the pool is full, it keeps each and gives it back."""
        if self.filled < len(self.images):
            self.images[self.filled] = image
            self.filled += 1
            return image
        place = int(torch.randint(2 * len(self.images), ()))
        if place >= len(self.images):
            return image
        older = self.images[place].clone()
        self.images[place] = image
        return older


class CycleGAN(GenerativeModel):
    """G: A → B and F: B → A; D_A and D_B tell what is real in their domain from what was translated to it."""

    class Params(Strict):
        """The paper's `cycle` is 10 and its `identity` 5: our errors, in [0, 1], and our game are half of its."""

        generator_channels: PositiveInt
        generator_blocks: PositiveInt
        discriminator_channels: PositiveInt
        patch_halvings: PositiveInt  # see networks/patchgan.py
        pool: PositiveInt  # images of each domain
        cycle: PositiveFloat
        identity: float = Field(ge=0.0)

    needs = frozenset({"a", "b"})

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        size = params.generator_channels, params.generator_blocks
        patches = params.discriminator_channels, params.patch_halvings
        # Each by the domain that it makes, knows or remembers.
        self.generators = nn.ModuleDict({domain: ResNetGenerator(data.shape, *size) for domain in "ab"})
        self.discriminators = nn.ModuleDict({domain: patchgan(data.shape, *patches) for domain in "ab"})
        self.pools = nn.ModuleDict({domain: ImagePool(params.pool, data.shape) for domain in "ab"})

    def phases(self) -> tuple[Phase, ...]:
        """Both generators, then both discriminators."""
        return (
            Phase("generators", self.generators, self.generator_loss),
            Phase("discriminators", self.discriminators, self.discriminator_loss),
        )

    def logits(self, domain: str, image: Tensor) -> Tensor:
        """D of a domain: (N, C, H, W) in [0, 1] → (N, 1, H', W')."""
        return self.discriminators[domain](image * 2.0 - 1.0)

    def translations(self, batch: Batch) -> dict[str, Tensor]:
        """To each domain, from the other."""
        return {"a": self.generators["a"](batch["b"]), "b": self.generators["b"](batch["a"])}

    def generator_loss(self, batch: Batch) -> Loss:
        """Equation 3 with the least-squares game of section 4, and L_identity of section 5.2."""
        fake = self.translations(batch)
        games = [losses.generator_least_squares(self.logits(domain, fake[domain])) for domain in "ab"]
        terms = {"adversarial": torch.stack(games).sum()}
        terms["cycle"] = self.params.cycle * errors(batch, self.translations(fake))
        if self.params.identity:
            same = {domain: self.generators[domain](batch[domain]) for domain in "ab"}
            terms["identity"] = self.params.identity * errors(batch, same)
        return Loss(terms)

    def discriminator_loss(self, batch: Batch) -> Loss:
        """One game in each domain, against translations of which half are older; section 4."""
        with torch.no_grad():
            fake = {domain: self.pools[domain](images) for domain, images in self.translations(batch).items()}
        games = {
            domain: losses.discriminator_least_squares(
                self.logits(domain, batch[domain]), self.logits(domain, fake[domain])
            )
            for domain in "ab"
        }
        terms, watched = (
            {f"{name}_{domain}": value for domain in "ab" for name, value in getattr(games[domain], what).items()}
            for what in ("terms", "watched")
        )
        return Loss(terms, watched)

    def graphs(self) -> tuple[Graph, ...]:
        """`translate` from A to B, `translate_back` from B to A."""
        image = self.data.image
        return (
            Graph("translate", self.generators["b"], {"image": image}, {"translation": image}),
            Graph("translate_back", self.generators["a"], {"image": image}, {"translation": image}),
        )


def errors(real: Batch, found: Batch) -> Tensor:
    """Mean absolute error, summed over both domains: equation 2, of cycles."""
    return torch.stack([losses.absolute_error(real[domain], found[domain]).mean() for domain in "ab"]).sum()
