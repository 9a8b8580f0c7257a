"""Pictures of a model in training, drawn from its graphs alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from genfoundry.contract import Learner
from genfoundry.pictures import grid, interleave, png, to_bytes
from genfoundry.spec import VOCABULARY, TensorSpec
from genfoundry.training.runtime import Runtime, evaluating


class Preview:
    """The same noise and the same held-out images at every call, so that pictures compare over time."""

    def __init__(self, images: np.ndarray, count: int, runtime: Runtime, seed: int) -> None:
        self._images = np.array(images[:count])  # a copy: torch takes no read-only memory
        self._count, self._runtime, self._seed = count, runtime, seed

    @torch.no_grad()
    def draw(self, model: Learner) -> dict[str, bytes]:
        """A PNG grid for each graph that gives an image and has a picture in the vocabulary."""
        with evaluating(model):
            return {
                graph.name: self._picture(graph.module, graph.inputs, style)
                for graph in model.graphs()
                if (style := VOCABULARY[graph.name])
            }

    def _picture(self, module: torch.nn.Module, inputs: Mapping[str, TensorSpec], style: str) -> bytes:
        rng = np.random.default_rng(self._seed)
        arrays = {
            name: self._images if spec.kind == "image" else spec.draw(rng, batch=self._count)
            for name, spec in inputs.items()
        }
        output: Tensor = module(*self._runtime.batch(arrays).values())
        images = to_bytes(output.float().cpu().numpy())
        return png(grid(interleave(self._images, images) if style == "pairs" else images))
