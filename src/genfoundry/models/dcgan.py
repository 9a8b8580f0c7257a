"""Deep convolutional GAN (Radford, Metz & Chintala 2016), of classes where asked (Mirza & Osindero 2014)."""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry import losses
from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec, lazily
from genfoundry.networks.convnet import ToUnit, init_weights
from genfoundry.params import ParamsError, Strict

SMALLEST = 3  # of a side


def sides(height: int, width: int) -> list[tuple[int, int]]:
    """An image's sides and what each stride of 2 leaves, the shorter down to 3 to 5 pixels: 64 to 4 in figure 1."""
    found = [(height, width)]
    while min(found[-1]) // 2 >= SMALLEST:
        found.append((found[-1][0] // 2, found[-1][1] // 2))
    return found


def conv_generator(noise_dim: int, channels: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """(N, noise_dim) → (N, C, H, W) in [0, 1], by fractionally strided convolutions; figure 1."""
    depth, *size = shape
    *larger, smallest = sides(*size)
    wide = channels * 2 ** (len(larger) - 1)
    layers: list[nn.Module] = [
        nn.Unflatten(1, (noise_dim, 1, 1)),
        nn.ConvTranspose2d(noise_dim, wide, smallest, bias=False),
    ]
    for level, after in reversed(list(enumerate(larger))):
        fan_in, last = channels * 2**level, level == 0
        fan_out = depth if last else fan_in // 2
        odd = (after[0] % 2, after[1] % 2)
        layers += [nn.BatchNorm2d(fan_in), nn.ReLU()]
        layers += [nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1, output_padding=odd, bias=last)]
    return nn.Sequential(*layers, ToUnit()).apply(init_weights)


def conv_discriminator(channels: int, shape: tuple[int, int, int], batch_norm: bool) -> nn.Sequential:
    """(N, C, H, W) → logits (N, 1), by strided convolutions; BatchNorm, if any, not on the input layer."""
    depth, *size = shape
    *larger, smallest = sides(*size)
    layers: list[nn.Module] = []
    for level in range(len(larger)):
        fan_out = channels * 2**level
        normalised = batch_norm and level > 0
        layers += [nn.Conv2d(depth, fan_out, 4, stride=2, padding=1, bias=not normalised)]
        layers += [nn.BatchNorm2d(fan_out)] if normalised else []
        layers += [nn.LeakyReLU(0.2)]
        depth = fan_out
    return nn.Sequential(*layers, nn.Conv2d(depth, 1, smallest), nn.Flatten()).apply(init_weights)


class LabelledGenerator(nn.Module):
    """Noise and a class → an image: what a conditional run ships."""

    def __init__(self, generator: nn.Module, classes: int) -> None:
        super().__init__()
        self.generator, self.classes = generator, classes

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(N, noise_dim) and (N,) int64 → (N, C, H, W) in [0, 1]."""
        return self.generator(torch.cat([noise, F.one_hot(label, self.classes).float()], dim=1))


class DCGAN(GenerativeModel):
    """Goodfellow's game on all-convolutional networks, with the non-saturating loss.

    Where it is conditional, both players are told the class beside their input: Mirza & Osindero 2014, section 3.2.
    """

    class Params(Strict):
        """A network's `channels` are its width next to the image; it doubles with each halving.

        The paper's discriminator has BatchNorm. One held down by R1 wants none, as R1 is of D's slope at an image,
        whatever else is in the batch; it is lazy (Karras et al. 2020, section 3.1), and as much stronger as rarer.
        """

        noise_dim: PositiveInt
        generator_channels: PositiveInt
        discriminator_channels: PositiveInt
        discriminator_norm: bool = True
        conditional: bool = False
        r1: float = Field(default=0.0, ge=0.0)
        r1_every: PositiveInt = 4

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.params, self.data = params, data
        self.classes = len(data.classes) if params.conditional else 0
        # Of this very model: whether it is conditional decides.
        self.needs = frozenset({"image", "label"} if params.conditional else {"image"})
        depth, height, width = data.shape
        if len(sides(height, width)) < 2:
            raise ParamsError(
                f"{height}×{width} pixels cannot be halved to {SMALLEST} or more, which each layer does"
            )
        self.generator = conv_generator(params.noise_dim + self.classes, params.generator_channels, data.shape)
        seen = (depth + self.classes, height, width)
        self.discriminator = conv_discriminator(params.discriminator_channels, seen, params.discriminator_norm)

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, where asked for its regularisation, then the generator."""
        r1 = Phase("discriminator", self.discriminator, self.r1_loss)
        return (
            Phase("discriminator", self.discriminator, self.discriminator_loss),
            *lazily(r1, self.params.r1, self.params.r1_every),
            Phase("generator", self.generator, self.generator_loss),
        )

    @property
    def sampler(self) -> nn.Module:
        """What ships: the generator, told the class where there are classes."""
        return LabelledGenerator(self.generator, self.classes) if self.classes else self.generator

    def sample(self, batch: Batch) -> Tensor:
        """As many images as the batch holds, of its classes."""
        noise = torch.randn(len(batch["image"]), self.params.noise_dim, device=batch["image"].device)
        return self.sampler(noise, batch["label"]) if self.classes else self.sampler(noise)

    def logits(self, image: Tensor, batch: Batch) -> Tensor:
        """D sees [-1, 1], section 4, and a plane for each class: (N, C, H, W) in [0, 1] → (N, 1)."""
        x = image * 2.0 - 1.0
        if self.classes:
            planes = F.one_hot(batch["label"], self.classes).float()[:, :, None, None]
            x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], dim=1)
        return self.discriminator(x)

    def discriminator_loss(self, batch: Batch) -> Loss:
        """Real and generated in separate batches, so that BatchNorm sees each alone."""
        with torch.no_grad():
            fake = self.sample(batch)
        return losses.discriminator(self.logits(batch["image"], batch), self.logits(fake, batch))

    def r1_loss(self, batch: Batch) -> Loss:
        """At real images: Mescheder, Geiger & Nowozin 2018, equation 9."""
        return Loss({"r1": losses.r1(lambda image: self.logits(image, batch), batch["image"])})

    def generator_loss(self, batch: Batch) -> Loss:
        """−E log D(G(z))."""
        fake_logits = self.logits(self.sample(batch), batch)
        return Loss({"adversarial": losses.generator_non_saturating(fake_logits)})

    def graphs(self) -> tuple[Graph, ...]:
        """`generate` alone: the discriminator does not ship."""
        inputs = {"noise": TensorSpec(("batch", self.params.noise_dim), "normal")}
        if self.classes:
            inputs["label"] = TensorSpec(("batch",), "label", high=self.classes, dtype="int64")
        return (Graph("generate", self.sampler, inputs, {"image": self.data.image}),)
