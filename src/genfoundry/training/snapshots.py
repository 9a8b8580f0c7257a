"""Samples of a model in training, kept from step to step: what evaluation says of how it went is read from them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from genfoundry.files import write_atomic


class Snapshots:
    """A folder of `<graph>/<step>.npy`, which outlasts a kill as a checkpoint does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, graph: str, step: int, images: np.ndarray) -> None:
        """Images (N, C, H, W) uint8 of one step."""
        content = io.BytesIO()
        np.save(content, images)
        write_atomic(self._folder / graph / f"{step}.npy", content.getvalue())

    def collect(self, path: Path) -> None:
        """All in one file, of the same bytes for the same images; of none where no graph gives samples."""
        names = sorted(file.relative_to(self._folder).with_suffix("") for file in self._folder.glob("*/*.npy"))
        content = io.BytesIO()
        np.savez(content, **{name.as_posix(): np.load(self._folder / f"{name}.npy") for name in names})
        write_atomic(path, content.getvalue())


def read_snapshots(path: Path) -> dict[str, dict[int, np.ndarray]]:
    """Graph → step → images (N, C, H, W) uint8, in the order of the steps."""
    found: dict[str, dict[int, np.ndarray]] = {}
    with np.load(path) as arrays:
        for key in sorted(arrays, key=lambda key: int(key.partition("/")[2])):
            graph, _, step = key.partition("/")
            found.setdefault(graph, {})[int(step)] = arrays[key]
    return found
