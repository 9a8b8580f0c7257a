"""EfficientNet-Lite0 as a feature extractor.

The network of Tan & Le 2019, table 1, in its "lite" form: ReLU6 for SiLU, no squeeze-and-excitation, and a stem and
a head that do not scale. Its published weights come from TensorFlow, whose padding and BatchNorm ε it keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.data import DataError

FEATURES = 1280
MEAN, STD = 127 / 255, 128 / 255  # of the pixels in [0, 1] that it was trained on: (x − 127) / 128 of bytes


class Stage(NamedTuple):
    """One row of the table: `repeats` blocks, the first of which has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """TensorFlow's "same": outputs are ⌈side / stride⌉, and where padding is odd, the end gets the larger half."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        padding: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, padding))


def convolution(fan_in: int, fan_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, and BatchNorm."""
    same = SameConv(fan_in, fan_out, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(same, nn.BatchNorm2d(fan_out, eps=1e-3))


class Block(nn.Module):
    """MBConv: expand, filter each channel, project; the input is added where shapes allow (Sandler et al. 2018)."""

    def __init__(self, fan_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = fan_in * stage.expansion
        self.expand = convolution(fan_in, wide, 1) if stage.expansion > 1 else None
        self.depthwise = convolution(wide, wide, stage.kernel, stride, groups=wide)
        self.project = convolution(wide, stage.channels, 1)
        self.adds = stride == 1 and fan_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        h = x if self.expand is None else F.relu6(self.expand(x))
        h = self.project(F.relu6(self.depthwise(h)))
        return x + h if self.adds else h


class EfficientNetLite0(nn.Module):
    """Normalised RGB images → pooled features before the classifier: (N, 3, H, W) → (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM, 3, 2)
        blocks, channels = [], STEM
        for stage in STAGES:
            for repeat in range(stage.repeats):
                blocks.append(Block(channels, stage, stage.stride if repeat == 0 else 1))
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = convolution(channels, FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised by MEAN and STD → (N, 1280), each in [0, 6]."""
        x = self.blocks(F.relu6(self.stem(x)))
        return F.relu6(self.head(x)).mean(dim=(2, 3))

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of `efficientnet_lite0` by their published names; the classifier's are left.

        Raises:
            DataError: they are of another network.
        """
        try:
            self.load_state_dict({_own(name): t for name, t in tensors.items() if not name.startswith("_fc.")})
        except RuntimeError as error:
            raise DataError(f"these are not the weights of EfficientNet-Lite0: {str(error)[:200]}") from None


_OWN = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
_OWN_IN_BLOCK = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}


def _own(published: str) -> str:
    *place, part, tensor = published.split(".")
    if place:
        return f"blocks.{place[-1]}.{_OWN_IN_BLOCK.get(part, part)}.{tensor}"
    return f"{_OWN.get(part, part)}.{tensor}"
