"""Paths through latents, to be looked at: from image to image, from class to class, from noise to noise."""

from __future__ import annotations

import numpy as np

from genfoundry.data.supply import of_classes
from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks import Finding, Picture, Setting, Task
from genfoundry.tasks.features import has_labels

ROWS, STEPS = 8, 10  # paths, and places on each, both ends included
CODED = 2000  # training images whose codes make the classes' means


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


def path(start: np.ndarray, end: np.ndarray, normal: bool) -> np.ndarray:
    """(N, D) twice → (N · STEPS, D), path after path; on the sphere where the prior is normal."""
    between = slerp if normal else lerp
    steps = [between(start, end, share) for share in np.linspace(0.0, 1.0, STEPS)]
    return np.stack(steps, axis=1).reshape(-1, *start.shape[1:]).astype(np.float32)


def has_normal_prior(artifact: Artifact) -> bool:
    """Whether what `generate` draws from a standard normal is what `decode` takes."""
    drawn = artifact.graph("generate").inputs.values() if "generate" in artifact else ()
    latent = artifact.graph("decode").inputs["latent"]
    return any(spec.kind == "normal" and spec.shape == latent.shape for spec in drawn)


def interpolate(setting: Setting) -> Finding:
    """Between held-out images: the two at the ends, what is decoded on the way between them."""
    encode, decode = (setting.artifact.graph(name) for name in ("encode", "decode"))
    images = of_classes(setting.prepared.split("test"), setting.prepared.spec, setting.data.classes).images
    images = from_bytes(images[: 2 * min(ROWS, len(images) // 2)])
    start, end = np.split(encode(image=images), 2)
    normal = has_normal_prior(setting.artifact)
    decoded = decode(latent=path(start, end, normal)).reshape(len(start), -1, *images.shape[1:])
    first, last = np.split(images[:, None], 2)
    rows = np.concatenate([first, decoded, last], axis=1).reshape(-1, *images.shape[1:])
    way = "on the sphere" if normal else "on a straight line"
    caption = f"From held-out image to held-out image through the latent, {way}; the images themselves at the ends"
    return Finding(pictures={"interpolate": Picture(to_bytes(rows), caption, columns=STEPS + 2)})


def arithmetic(setting: Setting) -> Finding:
    """z − mean of the image's class + mean of another's: Radford 2016, section 6.3.2, on codes of images."""
    encode, decode = (setting.artifact.graph(name) for name in ("encode", "decode"))
    train, test = (setting.prepared.split(name) for name in ("train", "test"))
    classes = setting.prepared.spec.classes
    codes, labels = encode(image=from_bytes(train.images[:CODED])), train.labels[:CODED]
    means = np.stack([codes[labels == label].mean(axis=0) for label in range(len(classes))])
    chosen = [int(np.argmax(test.labels == label)) for label in range(len(classes))]
    images = from_bytes(test.images[chosen])
    moved = encode(image=images)[:, None] + means[None] - means[:, None]
    decoded = decode(latent=moved.reshape(-1, moved.shape[-1])).reshape(*moved.shape[:2], *images.shape[1:])
    rows = np.concatenate([images[:, None], decoded], axis=1).reshape(-1, *images.shape[1:])
    caption = f"Held-out image, then its code less its class's mean plus that of {', '.join(classes)}"
    return Finding(pictures={"arithmetic": Picture(to_bytes(rows), caption, columns=len(classes) + 1)})


def walk(setting: Setting) -> Finding:
    """From noise to noise; a class stays the same along its path."""
    graph, rng = setting.artifact.graph("generate"), np.random.default_rng(setting.seed)
    ends = [{name: spec.draw(rng, batch=ROWS) for name, spec in graph.inputs.items()} for _ in range(2)]
    along = {name: array.repeat(STEPS, axis=0) for name, array in ends[0].items()}
    along |= {n: path(ends[0][n], ends[1][n], True) for n, spec in graph.inputs.items() if spec.kind == "normal"}
    caption = "From noise to noise on the sphere, a path in each row"
    return Finding(pictures={"walk": Picture(to_bytes(graph.run(along)), caption, columns=STEPS)})


TASKS = (
    Task("walk", ("generate",), (), walk),
    Task("interpolate", ("encode", "decode"), (), interpolate),
    Task("arithmetic", ("encode", "decode"), (), arithmetic, wanted=has_labels),
)
