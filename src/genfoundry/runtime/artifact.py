"""A shipped model: one or more ONNX files that describe themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from genfoundry.spec import METADATA_KEY, TensorSpec

BATCH = 256  # images at a time, unless asked otherwise

Progress = Callable[[int, int], None]  # images done, images in all


class ArtifactError(ValueError):
    """A file or an input that does not fit; the message says what to do."""


@dataclass(frozen=True)
class ShippedGraph:
    """One exported function; its session starts at the first call."""

    path: Path
    threads: int = 0  # 0: one for each core

    @cached_property
    def session(self) -> ort.InferenceSession:
        """The ONNX Runtime session.

        Raises:
            ArtifactError: not an ONNX file that this machine can run.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4
        try:
            return ort.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = str(error).splitlines()[0][:200]
            raise ArtifactError(f"{self.path} is not an ONNX file that runs here: {reason}") from None

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the file says of itself.

        Raises:
            ArtifactError: it was not exported by genfoundry.
        """
        entry = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if entry is None:
            raise ArtifactError(f"{self.path} has no genfoundry metadata: it was not exported by genfoundry")
        return json.loads(entry)

    @cached_property
    def inputs(self) -> dict[str, TensorSpec]:
        """Specs by name."""
        return {name: TensorSpec.from_json(spec) for name, spec in self.about["inputs"].items()}

    @cached_property
    def outputs(self) -> dict[str, TensorSpec]:
        """Specs by name."""
        return {name: TensorSpec.from_json(spec) for name, spec in self.about["outputs"].items()}

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
        for start in range(0, count, batch):
            feed = {name: value[start : start + batch] for name, value in arrays.items()}
            parts.append(self.session.run(list(self.outputs), feed))
            if progress:
                progress(min(start + batch, count), count)
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
            ArtifactError: there is no .onnx file at `path`.
        """
        path = Path(path)
        if path.is_file():
            graph = ShippedGraph(path, threads)
            return cls({graph.about["graph"]: graph})  # whatever the user has named the file
        files = sorted(path.glob("*.onnx"))
        if not files:
            raise ArtifactError(f"{path}: no .onnx file here")
        return cls({file.stem: ShippedGraph(file, threads) for file in files})

    @property
    def about(self) -> dict[str, Any]:
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

    def __iter__(self) -> Iterator[str]:
        return iter(self.graphs)
