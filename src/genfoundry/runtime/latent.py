"""Ways through a latent space."""

from __future__ import annotations

import numpy as np

from genfoundry.runtime.artifact import Artifact


def lerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """On the straight line, (N, D) twice → (N, D)."""
    return (1.0 - share) * start + share * end


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """On the great circle, where a normal prior has its mass: White 2016, section 2.1; (N, …) twice → (N, …)."""
    axes = tuple(range(1, start.ndim))
    squared = [np.square(points).sum(axes, keepdims=True) for points in (start, end)]
    cosine = (start * end).sum(axes, keepdims=True) / np.maximum(np.sqrt(squared[0] * squared[1]), 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0)).clip(1e-4, np.pi - 1e-4)  # in line, any great circle will do
    return (np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)


def path(start: np.ndarray, end: np.ndarray, steps: int, normal: bool) -> np.ndarray:
    """(N, D) twice → (N · steps, D), path after path, ends included; on the sphere where the prior is normal."""
    between = slerp if normal else lerp
    places = [between(start, end, share) for share in np.linspace(0.0, 1.0, steps)]
    return np.stack(places, axis=1).reshape(-1, *start.shape[1:]).astype(np.float32)


def has_normal_prior(artifact: Artifact) -> bool:
    """Whether what `generate` draws from a standard normal is what `decode` takes."""
    drawn = artifact.graph("generate").inputs.values() if "generate" in artifact else ()
    latent = artifact.graph("decode").inputs["latent"]
    return any(spec.kind == "normal" and spec.shape == latent.shape for spec in drawn)


def between_noises(artifact: Artifact, seeds: tuple[int, int], steps: int, rows: int = 1) -> np.ndarray:
    """Images (rows · steps, C, H, W) from one seed's noise to another's; a class stays the same on its path."""
    graph = artifact.graph("generate")
    ends = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        ends.append({name: spec.draw(rng, batch=rows) for name, spec in graph.inputs.items()})
    along = {name: array.repeat(steps, axis=0) for name, array in ends[0].items()}
    normal = [name for name, spec in graph.inputs.items() if spec.kind == "normal"]
    return graph.run({**along, **{name: path(ends[0][name], ends[1][name], steps, True) for name in normal}})


def between_images(artifact: Artifact, start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Images (N, C, H, W) twice → what is decoded on the way from each to each, (N · steps, C, H, W)."""
    first, last = np.split(artifact.graph("encode")(image=np.concatenate([start, end])), 2)
    return artifact.graph("decode")(latent=path(first, last, steps, has_normal_prior(artifact)))
