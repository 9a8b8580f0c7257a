"""Makes torchvision importable beside a torch it was not compiled for.

A CPU torch next to PyPI's CUDA-linked torchvision cannot load torchvision's extension, and then
`import torchvision` fails on two schemas that only the extension defines. Its Python side (data sets,
transforms, models), and with it torchmetrics, needs neither: declaring them is enough. Take both
from here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch
from torch import library

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _extension_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    libraries = [*folder.glob("_C.so"), *folder.glob("_C.pyd"), *folder.glob("_C.*.so")]
    try:
        for path in libraries:
            torch.ops.load_library(path)
    except (ImportError, OSError):
        return False
    return bool(libraries)


if not _extension_loads():
    _library = library.Library("torchvision", "DEF")  # lives as long as this module
    for _schema in _SCHEMAS:
        _library.define(_schema)

import torchvision  # noqa: E402  (after the schemas)


def torchmetrics_image() -> ModuleType:
    """torchmetrics' functions on images, whose import takes a second and torchvision."""
    from torchmetrics.functional import image

    return image


__all__ = ["torchmetrics_image", "torchvision"]
