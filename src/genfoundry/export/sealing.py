"""A model's bytes as they ship: with what it says of itself, and a seal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import onnx

from genfoundry.runtime.container import seal
from genfoundry.spec import METADATA_KEY


def sealed(model: onnx.ModelProto, metadata: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a file: with new metadata, or with what it says already, and a new seal."""
    kept = {} if metadata else {e.key: e.value for e in model.metadata_props if e.key == METADATA_KEY}
    onnx.helper.set_model_props(model, kept or {METADATA_KEY: json.dumps(metadata)})
    return seal(model.SerializeToString(deterministic=True))
