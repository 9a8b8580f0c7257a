"""Perceptual distance between images, as a score (Zhang et al. 2018)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from genfoundry.data.pretrained import FILE, read_weights
from genfoundry.files import sha256_file
from genfoundry.metrics import Estimate, Metric, MetricError, Paired, mean
from genfoundry.params import Evaluation

BLOCK_PIXELS = 2**16  # of images at a time: VGG16 takes 2 kB for each, and is faster on blocks that fit a cache


class LpipsDistance:
    """LPIPS by the fetched weights in `folder`, e.g. `weights/lpips_alexnet`; their trunk is found by their names.

    Raises:
        DataError: the folder is not there, or holds weights of something else.
    """

    def __init__(self, folder: Path) -> None:
        from genfoundry.networks.lpips import LPIPS, trunk_of

        tensors = read_weights(folder.name, folder.parent)
        self._folder, self._network = folder, LPIPS(trunk_of(tensors))
        self._network.load_published(tensors)

    @cached_property
    def protocol(self) -> dict[str, str]:
        """The words that stand beside scores by these weights, which no others may share a board with."""
        return {"extractor": self._folder.name, "sha256": sha256_file(self._folder / FILE)}

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1] twice, grey or RGB → (N,) distances, 0 for equal images."""
        import torch

        block = max(1, BLOCK_PIXELS // (x.shape[2] * x.shape[3]))
        with torch.inference_mode():
            parts = [
                self._network(torch.from_numpy(x[i : i + block]), torch.from_numpy(y[i : i + block])).numpy()
                for i in range(0, len(x), block)
            ]
        return np.concatenate(parts)


def lpips(evidence: Paired, _: Evaluation) -> Estimate:
    """Mean over images; 0 where all are equal.

    Raises:
        MetricError: nobody has measured the distances.
    """
    if evidence.distances is None:
        raise MetricError("no network has seen these images")
    return mean(evidence.distances)


DEFINITION = "LPIPS 0.1 by the extractor's weights, mean over images"
METRIC = Metric("lpips", "lower", lpips, DEFINITION, fits=lambda evidence: evidence.distances is not None)
