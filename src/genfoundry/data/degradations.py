"""What is done to images before a model is asked to undo it, for training and evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from genfoundry.params import Degradation

Arrays = dict[str, np.ndarray]


def noise(images: np.ndarray, sigma: float, rng: np.random.Generator) -> Arrays:
    """Gaussian noise of standard deviation `sigma`, clipped to [0, 1] as an image file would be."""
    degraded = images + sigma * rng.standard_normal(images.shape, dtype=np.float32)
    return {"degraded": np.clip(degraded, 0.0, 1.0), "mask": np.ones_like(images[:, :1])}


def mask(images: np.ndarray, share: float, rng: np.random.Generator) -> Arrays:
    """That share of the pixels set to 0, in all channels (Vincent 2008, section 2.2); mask is 1 where known."""
    known = (rng.random(images[:, :1].shape, dtype=np.float32) >= share).astype(np.float32)
    return {"degraded": images * known, "mask": known}


def scale(images: np.ndarray, factor: float, rng: np.random.Generator) -> Arrays:
    """Both sides `factor` times smaller by antialiased bicubic interpolation, in 256 steps as in a file."""
    import torch
    from torch.nn.functional import interpolate

    height, width = (round(side / factor) for side in images.shape[2:])
    small = interpolate(torch.from_numpy(images), (height, width), mode="bicubic", antialias=True)
    return {"degraded": (small.clamp(0.0, 1.0) * 255.0).round().numpy() / np.float32(255.0)}


#: (N, C, H, W) float32 in [0, 1], how much, a generator → "degraded" and, at the same size, "mask" (N, 1, H, W).
DEGRADATIONS: Mapping[Degradation, Callable[[np.ndarray, float, np.random.Generator], Arrays]] = {
    "noise": noise,
    "mask": mask,
    "scale": scale,
}
