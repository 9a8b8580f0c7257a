"""A file's own proof: inputs from a seed, and what came out of them where it was exported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from genfoundry.runtime.container import ArtifactError, Container
from genfoundry.runtime.sessions import answer, start
from genfoundry.spec import BATCH, Kind, TensorSpec

KEY, VARIANT = "golden", "variant"  # in what a file says of itself
SEED = 0
VALUES = 8  # of each output, evenly spread over it
FULL = "fp32"  # the variant that a file is of unless it says so
#: By variant, in units of the largest output, at least 1; as the gate allows on the machine of the export. Of int8,
#: where a rounding error in the last bit of a float may become a step of an activation's scale.
TOLERANCES = {FULL: 1e-4, "fp16": 1e-4, "int8": 2e-2}
ITEMS, SIDE = 2, 16  # of the batch, and of the first other dynamic axis; each next is larger: equals might merge
MEMORY = 768 * 2**20  # bytes that a file may use to prove itself
SECONDS, BYTES_A_SECOND = 1.0, 1_000_000  # that it may take: so long, and a second more for so many of its bytes

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Proof:
    """How near an output came: to the bit, or by the largest difference in units of the largest output."""

    exact: bool
    largest: float


def example_sizes(axes: Sequence[str]) -> dict[str, int]:
    """Of dynamic axes: a batch of one would pass where only one works."""
    return {BATCH: ITEMS} | {axis: SIDE + i for i, axis in enumerate(a for a in axes if a != BATCH)}


def draw(spec: TensorSpec, rng: np.random.Generator, **axes: int) -> np.ndarray:
    """From the whole range of the spec; a `value` (a latent, say) is exercised with standard normal numbers."""
    kind: Kind = "normal" if spec.kind == "value" else spec.kind
    return replace(spec, kind=kind, default=None).draw(rng, **axes)


def inputs_of(specs: Mapping[str, TensorSpec], batch: int = ITEMS) -> Arrays:
    """Valid inputs from `SEED`; at the default batch those whose outputs are on record."""
    rng = np.random.default_rng(SEED)
    sizes = example_sizes(list(dict.fromkeys(axis for spec in specs.values() for axis in spec.axes)))
    return {name: draw(spec, rng, **{**sizes, BATCH: batch}) for name, spec in specs.items()}


def record(model: bytes, inputs: Mapping[str, TensorSpec], outputs: Sequence[str]) -> dict[str, Any]:
    """What a model gives, as its file will say."""
    found = answered(model, Path(KEY), inputs, outputs)
    golden = {name: {"sha256": digest(array), "values": spread(array).tolist()} for name, array in found.items()}
    return {"seed": SEED, "outputs": golden}


def prove(container: Container, path: Path) -> Proof:
    """Run a file on its golden inputs and hold what comes out to its record.

    Raises:
        ArtifactError: it has no record, does not run in `MEMORY`, or gives something else.
    """
    recorded, tolerance = recorded_in(container, path), TOLERANCES[container.about.get(VARIANT, FULL)]
    proof = Proof(exact=True, largest=0.0)
    for name, array in answered(container.content, path, container.inputs, list(container.outputs)).items():
        entry = recorded[name]
        unit = max(1.0, float(np.abs(array).max()))
        largest = float(np.abs(spread(array) - np.array(entry["values"])).max()) / unit
        if not largest <= tolerance:
            raise ArtifactError(f"{path} gives another {name} here than where it was exported, {largest:.2g} away")
        proof = Proof(proof.exact and digest(array) == entry["sha256"], max(proof.largest, largest))
    return proof


def recorded_in(container: Container, path: Path) -> Mapping[str, Any]:
    """The record of each output.

    Raises:
        ArtifactError: it is not one of this version.
    """
    try:
        golden = container.about[KEY]
        outputs = golden["outputs"]
        values = [np.array(outputs[name]["values"], np.float64) for name in container.outputs]
        known = golden["seed"] == SEED and all(len(v) == VALUES and np.isfinite(v).all() for v in values)
        known &= all(isinstance(outputs[name]["sha256"], str) for name in container.outputs)
        known &= container.about.get(VARIANT, FULL) in TOLERANCES
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise ArtifactError(f"{path} has no record of what should come out of it")
    return outputs


def answered(model: bytes, path: Path, inputs: Mapping[str, TensorSpec], outputs: Sequence[str]) -> Arrays:
    """Outputs for the golden inputs: on one thread, because the order of a sum is that of its threads."""
    limit_memory()
    session = start(model, path, threads=1, session__use_env_allocators="1")
    deadline = SECONDS + len(model) / BYTES_A_SECOND
    return dict(zip(outputs, answer(session, inputs_of(inputs), path, deadline), strict=True))


@cache
def limit_memory() -> None:
    """Give this process an allocator that refuses what is beyond `MEMORY`; sessions that ask for it use it."""
    settings = ort.OrtArenaCfg({"max_mem": MEMORY, "arena_extend_strategy": 1})
    where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(where, settings)


def digest(array: np.ndarray) -> str:
    """SHA-256 of its bytes, little-endian."""
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def spread(array: np.ndarray) -> np.ndarray:
    """`VALUES` numbers from all over it, the first and the last among them."""
    return array.reshape(-1)[np.linspace(0, array.size - 1, VALUES).round().astype(int)].astype(np.float64)
