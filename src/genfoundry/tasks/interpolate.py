"""Paths through latents, to be looked at: from image to image, from class to class, from noise to noise."""

from __future__ import annotations

import numpy as np

from genfoundry.data.supply import of_classes
from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.runtime.latent import between_images, between_noises, has_normal_prior
from genfoundry.tasks import Finding, Picture, Setting, Task
from genfoundry.tasks.features import has_labels

ROWS, STEPS = 8, 10  # paths, and places on each, both ends included
CODED = 2000  # training images whose codes make the classes' means


def interpolate(setting: Setting) -> Finding:
    """Between held-out images: the two at the ends, what is decoded on the way between them."""
    images = of_classes(setting.prepared.split("test"), setting.prepared.spec, setting.data.classes).images
    images = from_bytes(images[: 2 * min(ROWS, len(images) // 2)])
    first, last = np.split(images, 2)
    decoded = between_images(setting.artifact, first, last, STEPS).reshape(len(first), -1, *images.shape[1:])
    rows = np.concatenate([first[:, None], decoded, last[:, None]], axis=1).reshape(-1, *images.shape[1:])
    way = "on the sphere" if has_normal_prior(setting.artifact) else "on a straight line"
    caption = f"From held-out image to held-out image through the latent, {way}; the images themselves at the ends"
    return Finding(pictures={"interpolate": Picture(to_bytes(rows), caption, columns=STEPS + 2)})


def arithmetic(setting: Setting) -> Finding:
    """z − mean of the image's class + mean of another's: Radford 2016, section 6.3.2, on codes of images."""
    encode, decode = (setting.artifact.graph(name) for name in ("encode", "decode"))
    train, test = (setting.prepared.split(name) for name in ("train", "test"))
    codes, labels = encode(image=from_bytes(train.images[:CODED])), train.labels[:CODED]
    present = np.intersect1d(labels, test.labels)  # of few images, some classes may have none on one side
    if not len(present):
        return Finding()
    classes = [setting.prepared.spec.classes[label] for label in present]
    means = np.stack([codes[labels == label].mean(axis=0) for label in present])
    chosen = [int(np.argmax(test.labels == label)) for label in present]
    images = from_bytes(test.images[chosen])
    moved = encode(image=images)[:, None] + means[None] - means[:, None]
    decoded = decode(latent=moved.reshape(-1, moved.shape[-1])).reshape(*moved.shape[:2], *images.shape[1:])
    rows = np.concatenate([images[:, None], decoded], axis=1).reshape(-1, *images.shape[1:])
    caption = f"Held-out image, then its code less its class's mean plus that of {', '.join(classes)}"
    return Finding(pictures={"arithmetic": Picture(to_bytes(rows), caption, columns=len(classes) + 1)})


def walk(setting: Setting) -> Finding:
    """From noise to noise; a class stays the same along its path."""
    images = between_noises(setting.artifact, (setting.seed, setting.seed + 1), STEPS, ROWS)
    caption = "From noise to noise on the sphere, a path in each row"
    return Finding(pictures={"walk": Picture(to_bytes(images), caption, columns=STEPS)})


TASKS = (
    Task("walk", ("generate",), (), walk),
    Task("interpolate", ("encode", "decode"), (), interpolate),
    Task("arithmetic", ("encode", "decode"), (), arithmetic, wanted=has_labels),
)
