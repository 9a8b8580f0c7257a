"""A published network as the judge of data without labels: features for distances, and no classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import DataSpec, Graph, TensorSpec
from genfoundry.networks import efficientnet_lite
from genfoundry.networks.efficientnet_lite import EfficientNetLite0
from genfoundry.params import Extractor


class Published(NamedTuple):
    """What there is to know of a network: the word for it in metrics' names, and what its pixels must look like."""

    short: str
    network: type[EfficientNetLite0]
    features: int
    mean: float
    std: float


#: By the entry of `weights` that a data set's `judge.extractor` names.
EXTRACTORS: Mapping[str, Published] = {
    "efficientnet_lite0": Published(
        "effnet",
        EfficientNetLite0,
        efficientnet_lite.FEATURES,
        efficientnet_lite.MEAN,
        efficientnet_lite.STD,
    ),
}


def resampling(side: int, size: int) -> Tensor:
    """(size, side): the antialiased bicubic filter of Pillow and torch, which scores need (Parmar et al. 2022).

    Resizing is linear in each axis. As a matrix it is the same numbers in torch and in ONNX Runtime, whose own
    resampling differs from torch's by up to 1e-5.
    """
    identity = torch.eye(side, dtype=torch.float64)[None, None]
    return F.interpolate(identity, (size, side), mode="bicubic", antialias=True)[0, 0].float()


class PretrainedJudge(nn.Module):
    """Images as every graph takes them → features; grey becomes RGB, any size becomes a square one."""

    def __init__(self, config: Extractor, data: DataSpec) -> None:
        super().__init__()
        self.published, self.size, self.data = EXTRACTORS[config.extractor], config.size, data
        self.network = self.published.network()
        _, height, width = data.shape
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", resampling(height, config.size))
        self.register_buffer("columns", resampling(width, config.size).T.contiguous())

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N, features)."""
        square = self.rows @ image.expand(-1, 3, -1, -1) @ self.columns
        return self.network((square - self.published.mean) / self.published.std)

    def graph(self) -> Graph:
        """`encode`, whose output is not a latent but features."""
        features = TensorSpec(("batch", self.published.features), "value")
        return Graph("encode", self, {"image": self.data.image}, {"features": features})

    @property
    def protocol(self) -> dict[str, str]:
        """The words that stand beside every score measured on the features."""
        return {"extractor": self.published.short, "resize": f"bicubic, antialiased, {self.size}×{self.size}"}
