"""The whole state of a training run in one safetensors file, replaced atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from genfoundry.files import write_atomic

Parts = Mapping[str, nn.Module]
Optimizers = Mapping[str, Optimizer]


def good(checkpoint: Path) -> Path:
    """Beside a checkpoint, the last state whose samples were found good."""
    return checkpoint.with_suffix(".good.safetensors")


def save_checkpoint(path: Path, step: int, modules: Parts, optimizers: Optimizers) -> None:
    """Modules' and optimizers' tensors and the number of steps done."""
    tensors = {"step": torch.tensor(step)}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        tensors |= {
            f"optimizer/{name}/{index}/{key}": value
            for index, slots in optimizer.state_dict()["state"].items()
            for key, value in slots.items()
        }
    # Clones, because tied weights share memory, which safetensors does not take.
    write_atomic(path, save({key: value.contiguous().clone() for key, value in tensors.items()}))


def load_checkpoint(path: Path, modules: Parts, optimizers: Optimizers) -> int:
    """Restore in place and return the number of steps done; 0 where there is no checkpoint."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, name))
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimizer/{name}").items():
            index, _, slot = key.partition("/")
            state.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        lay_out(optimizer)
    return int(tensors["step"])


def lay_out(optimizer: Optimizer) -> None:
    """Moments in memory as their parameters are: fused optimizers read both in one pass."""
    for parameter, slots in optimizer.state.items():
        for name, value in slots.items():
            if value.shape == parameter.shape:
                slots[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def step_of(path: Path) -> int:
    """The number of steps done at a checkpoint; 0 where there is none."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as tensors:
        return int(tensors.get_tensor("step"))


def load_shipped(path: Path, model: nn.Module) -> None:
    """Restore in place what ships of a checkpoint: the EMA where there is one."""
    tensors = load_file(path)
    model.load_state_dict(_below(tensors, "ema/module", ".") or _below(tensors, "model"))


def _below(tensors: Mapping[str, Tensor], name: str, mark: str = "/") -> dict[str, Tensor]:
    prefix = f"{name}{mark}"
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
