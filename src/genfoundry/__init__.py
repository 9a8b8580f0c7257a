"""genfoundry: from a folder of images to a shipped, verified ONNX generator."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["Artifact"]


def __getattr__(name: str) -> Any:
    # By name, so that a training stage that imports the package does not import the runtime with it.
    if name == "Artifact":
        return importlib.import_module("genfoundry.runtime.artifact").Artifact
    raise AttributeError(f"module 'genfoundry' has no attribute {name!r}")
