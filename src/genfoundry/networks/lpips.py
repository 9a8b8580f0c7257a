"""Learned perceptual image patch similarity (Zhang et al. 2018): a distance that agrees with people's judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.data import DataError

EPSILON = 1e-8  # inside the root: where all features are 0, so is the gradient
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, on which the trunks were trained


class Layer(NamedTuple):
    """A convolution and ReLU, below max-pooling of window `pool` and stride 2 if any; `taken` if it is compared."""

    channels: int
    taken: bool = False
    pool: int = 0
    kernel: int = 3
    stride: int = 1
    padding: int = 1


#: Simonyan & Zisserman 2015, configuration D, to relu5_3; Krizhevsky 2014, to relu5.
TRUNKS: Mapping[str, tuple[Layer, ...]] = {
    "vgg16": (
        Layer(64),
        Layer(64, taken=True),
        Layer(128, pool=2),
        Layer(128, taken=True),
        Layer(256, pool=2),
        Layer(256),
        Layer(256, taken=True),
        Layer(512, pool=2),
        Layer(512),
        Layer(512, taken=True),
        Layer(512, pool=2),
        Layer(512),
        Layer(512, taken=True),
    ),
    "alexnet": (
        Layer(64, taken=True, kernel=11, stride=4, padding=2),
        Layer(192, taken=True, pool=3, kernel=5, padding=2),
        Layer(384, taken=True, pool=3),
        Layer(256, taken=True),
        Layer(256, taken=True),
    ),
}

SMALLEST = {"vgg16": 16, "alexnet": 31}  # pixels of a side, so that there is something left to pool
_PUBLISHED = {"vgg16": "VGG16_0", "alexnet": "AlexNet_0"}  # the trunks' names in the file


class LPIPS(nn.Module):
    """Two batches of images → their distances, equation 1, through a network that stays as it is.

    Its weights are buffers outside the state dict: they follow the module to its device, but no optimizer moves
    them and no checkpoint or shipped file holds them. A side has at least `SMALLEST` pixels.
    """

    def __init__(self, trunk: str) -> None:
        super().__init__()
        self.trunk, layers = trunk, TRUNKS[trunk]
        depths = [3, *(layer.channels for layer in layers)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(depth, layer.channels, layer.kernel, layer.stride, layer.padding)
            for depth, layer in zip(depths, layers, strict=False)
        )
        heads = [torch.full((layer.channels,), 1 / layer.channels) for layer in layers if layer.taken]
        self.heads = nn.ParameterList(heads)  # w_l ≥ 0
        self.mean = nn.Parameter(torch.tensor(MEAN)[:, None, None])
        self.std = nn.Parameter(torch.tensor(STD)[:, None, None])
        _keep_constant(self)

    @property
    def smallest(self) -> int:
        """Pixels of a side."""
        return SMALLEST[self.trunk]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] twice, grey or RGB → (N,), 0 for equal images; differentiable in both."""
        return self.distance(self.features(x), self.features(y))

    def distance(self, features_x: list[Tensor], features_y: list[Tensor]) -> Tensor:
        """Of what `features` gives for two batches of images → (N,)."""
        parts = [
            ((f_x - f_y).square() * head[:, None, None]).sum(dim=1).mean(dim=(1, 2))
            for head, f_x, f_y in zip(self.heads, features_x, features_y, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    @property
    def depths(self) -> list[int]:
        """Channels of each map that `features` gives."""
        return [len(head) for head in self.heads]

    def features(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) in [0, 1] → the taken layers' activations (N, C_l, H_l, W_l), each place of unit length."""
        h, taken = (x.expand(-1, 3, -1, -1) - self.mean) / self.std, []
        for layer, convolution in zip(TRUNKS[self.trunk], self.convolutions, strict=True):
            h = F.max_pool2d(h, layer.pool, 2) if layer.pool else h
            h = F.relu(convolution(h))
            if layer.taken:
                taken.append(h * (h.square().sum(dim=1, keepdim=True) + EPSILON).rsqrt())
        return taken

    @torch.no_grad()
    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of `lpips_vgg16` or `lpips_alexnet` by their published names, whose kernels are HWIO.

        Raises:
            DataError: they are of another network.
        """
        places = dict(self._places())
        if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in places.items()}:
            differing = sorted(set(tensors) ^ set(places)) or ["same names, other shapes"]
            raise DataError(f"these are not the weights of LPIPS on {self.trunk}: {', '.join(differing[:3])}")
        for name, place in places.items():
            place.copy_(tensors[name])

    def _places(self) -> Iterator[tuple[str, Any]]:
        """Published names, and views of this network's tensors in the published layout."""
        for i, convolution in enumerate(self.convolutions):
            kernel: Any = convolution.weight
            yield f"{_PUBLISHED[self.trunk]}.Conv_{i}.kernel", kernel.permute(2, 3, 1, 0)
            yield f"{_PUBLISHED[self.trunk]}.Conv_{i}.bias", convolution.bias
        for i, head in enumerate(self.heads):
            yield f"NetLinLayer_{i}.Conv_0.kernel", head[None, None, :, None]


def trunk_of(tensors: Mapping[str, Tensor]) -> str:
    """Which trunk published weights belong to.

    Raises:
        DataError: to none.
    """
    for trunk, published in _PUBLISHED.items():
        if any(name.startswith(f"{published}.") for name in tensors):
            return trunk
    raise DataError(f"these are not weights of LPIPS: {', '.join(sorted(tensors)[:3])}")


def _keep_constant(module: nn.Module) -> None:
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)
