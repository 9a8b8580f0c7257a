"""Pictures of a model in training, drawn from its graphs alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from genfoundry.contract import Graph, Learner
from genfoundry.pictures import beside, enlarged, to_bytes
from genfoundry.spec import VOCABULARY, TensorSpec
from genfoundry.training.runtime import Runtime, evaluating


class Preview:
    """The same noise and the same held-out batch at every call, so that pictures compare over time."""

    def __init__(self, batch: Mapping[str, np.ndarray], runtime: Runtime, seed: int) -> None:
        self._batch, self._runtime, self._seed = batch, runtime, seed

    @torch.no_grad()
    def draw(self, model: Learner) -> dict[str, np.ndarray]:
        """(N, C, H, W) uint8 in the order of a grid, for each graph that has a picture in the vocabulary."""
        with evaluating(model):
            return {graph.name: self._images(graph) for graph in model.graphs() if VOCABULARY[graph.name].shows}

    def _images(self, graph: Graph) -> np.ndarray:
        rng = np.random.default_rng(self._seed)
        given = self._given(graph.name)
        inputs = {name: self._input(name, spec, given, rng) for name, spec in graph.inputs.items()}
        images = graph.module(*self._runtime.batch(inputs).values()).float().cpu().numpy()
        if VOCABULARY[graph.name].shows == "samples":
            return to_bytes(images)
        return beside(enlarged(given, images.shape[2]), images)

    def _given(self, graph: str) -> np.ndarray:
        """The images of the batch that this graph takes, or would be compared with."""
        return next(self._batch[key] for key in (*VOCABULARY[graph].takes, *self._batch) if key in self._batch)

    def _input(self, name: str, spec: TensorSpec, given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if spec.kind == "image":
            return given
        if spec.kind == "label":
            return (np.arange(len(given)) % int(spec.high)).astype(spec.dtype)  # all classes, in columns
        return self._batch[name] if name in self._batch else spec.draw(rng, batch=len(given))
