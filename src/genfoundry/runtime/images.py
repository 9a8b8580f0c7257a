"""A user's pictures → what a graph takes, and what it gives → files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from genfoundry.data.images import FORMATS, Unreadable, decoded, fitted
from genfoundry.files import write_atomic
from genfoundry.pictures import from_bytes, grid, png, to_bytes
from genfoundry.runtime.artifact import Progress, ShippedGraph
from genfoundry.runtime.container import ArtifactError
from genfoundry.spec import TensorSpec

OUTS = (".png", ".webp", ".npz")


def pictures(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and those in the folders among them.

    Raises:
        ArtifactError: there is none.
    """
    Image.init()
    known = {suffix for suffix, name in Image.EXTENSION.items() if name in FORMATS}
    inside = {
        path: sorted(p for p in path.iterdir() if p.suffix.lower() in known) for path in paths if path.is_dir()
    }
    files = [file for path in paths for file in inside.get(path, [path])]
    if not files:
        raise ArtifactError(f"{', '.join(map(str, paths))}: no image here")
    return files


def read_pictures(files: Sequence[Path], spec: TensorSpec) -> list[np.ndarray]:
    """Each as (C, H, W) float32 in [0, 1]: cut and resized to the sizes that are fixed, else as it is.

    Raises:
        ArtifactError: a file is no image.
    """
    _, channels, *sides = spec.shape
    found = []
    for file in files:
        try:
            image = decoded(file, int(channels))
        except Unreadable as error:
            raise ArtifactError(f"{file}: {error}") from None
        height, width = (n if isinstance(n, int) else own for n, own in zip(sides, image.size[::-1], strict=True))
        found.append(from_bytes(fitted(image, (int(channels), height, width))))
    return found


def names_of(files: Sequence[Path]) -> list[str]:
    """A name for each, without its ending; numbered where two would be the same."""
    stems = [file.stem for file in files]
    return stems if len(set(stems)) == len(stems) else [f"{i:04d}-{stem}" for i, stem in enumerate(stems)]


def mapped(
    graph: ShippedGraph, files: Sequence[Path], others: Mapping[str, Path], progress: Progress | None = None
) -> list[np.ndarray]:
    """What a graph from image to image makes of each file, (C, H, W); `others` are the files of further inputs.

    Raises:
        ArtifactError: the graph takes other inputs, or a file is no image.
    """
    if set(graph.inputs) != {"image", *others}:
        wanted = ", ".join(name for name in graph.inputs if name != "image") or "nothing else"
        raise ArtifactError(
            f"{graph.about['graph']} takes an image and {wanted}; given: {', '.join(others) or 'none'}"
        )
    fixed = {name: read_pictures([path], graph.inputs[name])[0].round() for name, path in others.items()}
    found: list[np.ndarray] = []
    for _, group in groupby(read_pictures(files, graph.inputs["image"]), key=lambda image: image.shape):
        images = np.stack(list(group))
        repeated = {name: np.broadcast_to(value, (len(images), *value.shape)) for name, value in fixed.items()}
        found += list(graph.run({"image": images, **repeated}))
        if progress:
            progress(len(found), len(files))
    return found


def save(images: Iterable[np.ndarray], names: Sequence[str], out: Path, columns: int | None = None) -> str:
    """Images (C, H, W) in [0, 1] → a grid (.png, .webp), an array (.npz) or a folder of PNG files; says which.

    Raises:
        ArtifactError: images of several sizes in one file.
    """
    images = list(images)
    if out.suffix.lower() not in OUTS:
        return save_folder(images, names, out)
    if len({image.shape for image in images}) > 1:
        raise ArtifactError(f"the images have several sizes, which one file cannot hold: give a folder, not {out}")
    stacked = np.stack(images)
    stream = io.BytesIO()
    if out.suffix.lower() == ".npz":
        np.savez_compressed(stream, images=stacked)
    elif out.suffix.lower() == ".webp":
        with Image.open(io.BytesIO(png(grid(to_bytes(stacked), columns)))) as picture:
            picture.save(stream, "WEBP", lossless=True)
    else:
        stream.write(png(grid(to_bytes(stacked), columns)))
    write_atomic(out, stream.getvalue())
    return f"{len(images)} images in {out}"


def save_folder(images: Sequence[np.ndarray], names: Sequence[str], folder: Path) -> str:
    """A PNG file for each image."""
    folder.mkdir(parents=True, exist_ok=True)
    for image, name in zip(images, names, strict=True):
        write_atomic(folder / f"{name}.png", png(grid(to_bytes(image[None]))))
    return f"{len(images)} files in {folder}/"
