"""A shipped model: one or more ONNX files that describe themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from genfoundry.runtime.container import LONGEST, ArtifactError, Container, read
from genfoundry.runtime.golden import Proof, prove
from genfoundry.runtime.sessions import answer, start
from genfoundry.spec import TensorSpec

CARD = "card.json"  # beside the files of a run
BATCH = 256  # images at a time, unless asked otherwise

Progress = Callable[[int, int], None]  # images done, images in all


@dataclass(frozen=True)
class ShippedGraph:
    """One exported function; its session starts at the first call."""

    path: Path
    container: Container
    threads: int = 0  # 0: OMP_NUM_THREADS, or one for each core

    @classmethod
    def read(cls, path: Path, threads: int = 0) -> ShippedGraph:
        """The file at `path`.

        Raises:
            ArtifactError: it is damaged, foreign or harmful.
        """
        return cls(path, read(path), threads)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the file says of itself."""
        return self.container.about

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Specs by name."""
        return self.container.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Specs by name."""
        return self.container.outputs

    @cached_property
    def session(self) -> ort.InferenceSession:
        """The ONNX Runtime session.

        Raises:
            ArtifactError: this machine cannot run it.
        """
        return start(self.container.content, self.path, self.threads)

    def verify(self) -> Proof:
        """Run the file on the inputs whose outputs it has on record, in little memory.

        Raises:
            ArtifactError: something else comes out here.
        """
        return prove(self.container, self.path)

    def __call__(self, **inputs: np.ndarray) -> Any:
        """`run`, with the inputs by name."""
        return self.run(inputs)

    def run(self, inputs: Mapping[str, np.ndarray], batch: int = BATCH, progress: Progress | None = None) -> Any:
        """On arrays of any length, `batch` at a time; one array, or a dict where there are several outputs.

        Raises:
            ArtifactError: a missing, unknown or misshapen input.
        """
        arrays = self._checked(inputs)
        count = len(next(iter(arrays.values())))
        parts = []
        for first in range(0, count, batch):
            feed = {name: value[first : first + batch] for name, value in arrays.items()}
            parts.append(answer(self.session, feed, self.path))
            if progress:
                progress(min(first + batch, count), count)
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else dict(zip(self.outputs, joined, strict=True))

    def _checked(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if set(inputs) != set(self.inputs):
            raise ArtifactError(
                f"{self.path.stem} takes {', '.join(self.inputs)}; given: {', '.join(inputs) or 'none'}"
            )
        arrays = {name: np.asarray(inputs[name], spec.dtype) for name, spec in self.inputs.items()}
        for name, spec in self.inputs.items():
            if not spec.fits(arrays[name].shape):
                raise ArtifactError(f"{name} is {arrays[name].shape}, {self.path.stem} takes {spec.shape}")
            if spec.kind == "label" and not is_class(inputs[name], spec.high):
                raise ArtifactError(f"{name} is the number of a class, 0 to {spec.high - 1:.0f}")
        if len({len(value) for value in arrays.values()}) > 1 or not len(next(iter(arrays.values()))):
            raise ArtifactError("inputs must have the same length, at least 1")
        return arrays


def is_class(given: np.ndarray, count: float) -> bool:
    """Whether all are whole numbers from 0 to below `count`."""
    values = np.asarray(given)
    return bool(((values == np.floor(values)) & (values >= 0) & (values < count)).all())


@dataclass(frozen=True)
class Artifact:
    """The graphs of one run, by name."""

    graphs: dict[str, ShippedGraph] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path, threads: int = 0) -> Artifact:
        """A run's folder, or one of its files.

        Raises:
            ArtifactError: there is no .onnx file at `path`, or one is damaged, foreign or harmful.
        """
        path = Path(path)
        if path.is_file():
            graph = ShippedGraph.read(path, threads)
            return cls({graph.about["graph"]: graph})  # whatever the user has named the file
        files = sorted(path.glob("*.onnx"))
        if not files:
            raise ArtifactError(f"{path}: no .onnx file here")
        return cls({file.stem: ShippedGraph.read(file, threads) for file in files})

    @property
    def about(self) -> Mapping[str, Any]:
        """What any of the files says of the run."""
        return next(iter(self.graphs.values())).about

    def graph(self, name: str) -> ShippedGraph:
        """One of the graphs.

        Raises:
            ArtifactError: the run does not ship it.
        """
        if name not in self.graphs:
            raise ArtifactError(f"this artifact has no {name!r}; it has {', '.join(self.graphs)}")
        return self.graphs[name]

    def generate(
        self,
        n: int,
        seed: int = 0,
        *,
        batch: int = BATCH,
        progress: Progress | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """`n` images (n, C, H, W) float32 in [0, 1]; a seed gives the same noise on every machine.

        Args:
            inputs: by name, in place of what would be drawn, a number for all images or an array: `label`, say.
        """
        graph = self.graph("generate")
        rng = np.random.default_rng(seed)
        drawn = {name: spec.draw(rng, batch=n) for name, spec in graph.inputs.items()}
        asked = {
            name: np.broadcast_to(value, drawn[name].shape) if name in drawn else value
            for name, value in (inputs or {}).items()
        }
        return graph.run({**drawn, **asked}, batch, progress)

    def reconstruct(self, image: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1] through the latent and back."""
        return self.graph("reconstruct")(image=image)

    def restore(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Degraded images (N, C, H, W) in [0, 1] made whole; where a run imputes, `mask` is 1 for known pixels."""
        return self.graph("restore").run({"image": image} if mask is None else {"image": image, "mask": mask})

    def translate(self, image: np.ndarray, back: bool = False) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1] of one domain as images of the other."""
        return self.graph("translate_back" if back else "translate")(image=image)

    def verify(self) -> dict[str, Proof]:
        """Prove each graph, by its file's name.

        Raises:
            ArtifactError: a file is not the one that its run's card names, or gives something else here.
        """
        for graph in self.graphs.values():
            check_card(graph)
        return {graph.path.name: graph.verify() for graph in self.graphs.values()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.graphs)


def check_card(graph: ShippedGraph) -> None:
    """Hold a file to the card beside it, if there is one.

    Raises:
        ArtifactError: the card names other bytes, or cannot be read.
    """
    path = graph.path.parent / CARD
    if not path.is_file():
        return
    try:
        with path.open("rb") as stream:
            listed = {
                entry["file"]: entry["sha256"] for entry in json.loads(stream.read(LONGEST))["graphs"].values()
            }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArtifactError(f"{path} cannot be read") from None
    if listed.get(graph.path.name) != hashlib.sha256(graph.container.content).hexdigest():
        raise ArtifactError(f"{graph.path} is not the file that {path} was written for")
