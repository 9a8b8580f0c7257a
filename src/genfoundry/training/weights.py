"""What training leaves behind: the tensors that ship, and nothing else."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from genfoundry.contract import Learner
from genfoundry.files import write_atomic


class WeightsError(ValueError):
    """A file of weights that belongs to another model."""


def reached(model: Learner) -> dict[str, Tensor]:
    """Parameters and buffers that `graphs()` reach, by their names in the model."""
    shipped = {id(t) for graph in model.graphs() for t in graph.module.state_dict(keep_vars=True).values()}
    return {name: t for name, t in model.state_dict(keep_vars=True).items() if id(t) in shipped}


def save_weights(path: Path, model: Learner) -> None:
    """One safetensors file without metadata, so that equal weights are equal bytes."""
    write_atomic(path, save({name: t.detach().cpu().contiguous().clone() for name, t in reached(model).items()}))


def load_weights(path: Path, model: Learner) -> None:
    """Restore in place.

    Raises:
        WeightsError: the file holds other tensors than the model's graphs need.
    """
    tensors, needed = load_file(path), reached(model)
    if set(tensors) != set(needed):
        differing = sorted(set(tensors) ^ set(needed))
        raise WeightsError(f"{path} does not fit the model: {', '.join(differing[:5])}")
    model.load_state_dict(tensors, strict=False)
