"""Published networks that see images they were not trained on: features for distances, and no classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from genfoundry.contract import Graph, TensorSpec
from genfoundry.data.pretrained import FOLDER, read_weights
from genfoundry.export import gate, onnx
from genfoundry.files import write_json
from genfoundry.judge.extractor import ABOUT
from genfoundry.networks import efficientnet_lite, inception
from genfoundry.networks.efficientnet_lite import EfficientNetLite0
from genfoundry.networks.inception import Inception
from genfoundry.params import Export


class Published(NamedTuple):
    """What there is to know of a network: the word for it in metrics' names, and what its pixels must look like."""

    short: str
    network: type[EfficientNetLite0] | type[Inception]
    features: int
    mean: float
    std: float
    size: int  # pixels of a side, unless a data set asks for others
    filter: str  # that images are resized by, antialiased: one of Pillow's


#: By the entry of `weights`. Inception's filter is torchmetrics', and pytorch-fid's for images of fewer than 299
#: pixels; larger ones do not alias (Parmar et al. 2022).
EXTRACTORS: Mapping[str, Published] = {
    "efficientnet_lite0": Published(
        "effnet",
        EfficientNetLite0,
        efficientnet_lite.FEATURES,
        efficientnet_lite.MEAN,
        efficientnet_lite.STD,
        96,
        "bicubic",
    ),
    "inception_2015": Published(
        "inception", Inception, inception.FEATURES, inception.MEAN, inception.STD, inception.SIZE, "bilinear"
    ),
}


class Looking(nn.Module):
    """Square RGB images as every graph takes them → features."""

    def __init__(self, published: Published, size: int) -> None:
        super().__init__()
        self.published, self.size = published, size
        self.network = published.network()

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, size, size) in [0, 1] → (N, features)."""
        return self.network((image - self.published.mean) / self.published.std)

    def graph(self) -> Graph:
        """`encode`, whose output is not a latent but features."""
        image = TensorSpec(("batch", 3, self.size, self.size), "image")
        features = TensorSpec(("batch", self.published.features), "value")
        return Graph("encode", self, {"image": image}, {"features": features})


def export_published(name: str, size: int | None, folder: Path, export: Export, weights: Path = FOLDER) -> None:
    """Write the network's file, through the gate, and what a reader of scores must know of it.

    Args:
        size: pixels of a side, or the network's own.
        weights: the folder that holds those of `name`.

    Raises:
        DataError: its weights were not fetched.
    """
    published = EXTRACTORS[name]
    looking = Looking(published, size or published.size).eval()
    looking.network.load_published(read_weights(name, weights))
    graph = looking.graph()
    onnx.write(graph, folder / f"{graph.name}.onnx", {"extractor": name}, export.opset)
    gate.check(graph, folder / f"{graph.name}.onnx", export.gate)
    resize = {"size": looking.size, "filter": published.filter}
    words = f"{published.filter}, antialiased, {looking.size}×{looking.size}"
    write_json(folder / ABOUT, {"protocol": {"extractor": published.short, "resize": words}, "resize": resize})
