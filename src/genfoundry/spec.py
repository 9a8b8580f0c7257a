"""What a tensor at the edge of a shipped graph is. Imports nothing heavier than numpy: the runtime reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["image", "normal", "uniform", "mask", "label", "scalar", "value"]
DType = Literal["float32", "int64"]

#: The entry of an ONNX file's metadata that holds what it says of itself, as JSON.
METADATA_KEY = "genfoundry"

#: The axis that every input and output begins with.
BATCH = "batch"

#: The images in a batch, by the data set's layout; "label" stands beside "image" where the classes have names.
IMAGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "classes": ("image",),
    "pairs": ("source", "target"),
    "domains": ("a", "b"),
}


@dataclass(frozen=True)
class Word:
    """A function that a user may call: what its image input is in a batch, and the picture that shows it."""

    takes: tuple[str, ...] = ("image",)  # the first of these keys that the batch has
    shows: Literal["samples", "pairs"] | None = None  # samples stand alone, pairs beside their input


#: What a graph may be called.
VOCABULARY: Mapping[str, Word] = {
    "generate": Word(shows="samples"),
    "encode": Word(),
    "decode": Word(),
    "reconstruct": Word(shows="pairs"),
    "restore": Word(("degraded",), shows="pairs"),
    "translate": Word(("source", "a"), shows="pairs"),
    "translate_back": Word(("target", "b"), shows="pairs"),
    "classify": Word(),
    "log_prob": Word(),
    "elbo": Word(),
}


@dataclass(frozen=True)
class TensorSpec:
    """Shape, meaning and range of one input or output.

    A `str` in `shape` is a dynamic axis, `("batch", 1, 28, 28)`, or a whole multiple of one: `"2*height"`.
    `image` and `mask` lie in [low, high], `uniform` is drawn from it, `label` counts `high` classes from 0,
    `normal` is standard normal, `value` is unbounded and never drawn. `default` is what an input is where nobody
    asks for other: evaluation and pictures leave it there, the gate draws from the whole range.
    """

    shape: tuple[int | str, ...]
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    dtype: DType = "float32"
    default: float | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the dynamic axes."""
        return tuple(dict.fromkeys(_name(n) for n in self.shape if isinstance(n, str)))

    def sizes(self, **axes: int) -> tuple[int, ...]:
        """The shape where the dynamic axes have the sizes in `axes`."""
        return tuple(n if isinstance(n, int) else _times(n) * axes[_name(n)] for n in self.shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it is the shape of such a tensor, for some sizes of the dynamic axes."""
        return len(shape) == len(self.shape) and all(
            size == n if isinstance(n, int) else size % _times(n) == 0
            for size, n in zip(shape, self.shape, strict=True)
        )

    def draw(self, rng: np.random.Generator, **axes: int) -> np.ndarray:
        """The default, or a valid random tensor, with the sizes in `axes`; the same on every machine."""
        shape = self.sizes(**axes)
        if self.default is not None:
            return np.full(shape, self.default, self.dtype)
        if self.kind == "normal":
            return rng.standard_normal(shape).astype(self.dtype)
        if self.kind == "label":
            return rng.integers(0, int(self.high), shape).astype(self.dtype)
        if self.kind == "mask":
            return rng.integers(0, 2, shape).astype(self.dtype)
        if self.kind == "value":
            raise ValueError("a 'value' has no distribution to draw from; compute it with another graph")
        return rng.uniform(self.low, self.high, shape).astype(self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for an ONNX file's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TensorSpec:
        """The inverse of `to_json`."""
        return cls(**{**fields, "shape": tuple(fields["shape"])})


def _name(axis: str) -> str:
    """The axis that it is a multiple of: "2*height" → "height", "batch" → "batch"."""
    return axis.rpartition("*")[2]


def _times(axis: str) -> int:
    """What multiple it is: "2*height" → 2, "batch" → 1."""
    return int(axis.rpartition("*")[0] or 1)


@dataclass(frozen=True)
class DataSpec:
    """All that a model may know of its data.

    `shape` is (C, H, W), `classes` is empty where there are no labels, `levels` are the values a pixel can take,
    `scale` is how many times smaller the sides of degraded images are.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    levels: int = 256
    scale: int = 1

    @property
    def dims(self) -> int:
        """Numbers in an image."""
        return math.prod(self.shape)

    @property
    def image(self) -> TensorSpec:
        """A batch of images as every graph takes and gives them: float32 NCHW in [0, 1]."""
        return TensorSpec(("batch", *self.shape), "image")
