"""Where and how precisely a model computes; the only place that knows devices."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Runtime:
    """A device and the precision of its forward passes."""

    device: torch.device
    precision: str = "fp32"

    @classmethod
    def best(cls, precision: str = "fp32") -> Runtime:
        """The GPU where there is one, set to give the same bits twice."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
        torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports the compiler
        # The NaN that fresh memory would be filled with takes a twentieth of a step and changes no result.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # not in torch's stub
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
        return cls(torch.device("cuda" if torch.cuda.is_available() else "cpu"), precision)

    def autocast(self) -> AbstractContextManager[None]:
        """bf16 where asked for; its range is fp32's, so no gradient scaling."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, model: nn.Module) -> None:
        """Move it to the device, its kernels laid out as convolutions read them."""
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stub

    def batch(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """uint8 images become float32 in [0, 1] on the device, after the transfer; the rest keeps its type."""
        tensors = {key: torch.from_numpy(value).to(self.device) for key, value in arrays.items()}
        floats = {key: t.float().div_(255.0) if t.dtype == torch.uint8 else t for key, t in tensors.items()}
        return {key: channels_last(t) if t.ndim == 4 else t for key, t in floats.items()}


def channels_last(images: Tensor) -> Tensor:
    """(N, C, H, W), the channels of a pixel side by side in memory: convolutions on a CPU need no copies then."""
    return images.contiguous(memory_format=torch.channels_last)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each part then has the mode it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def seed_step(seed: int, step: int) -> None:
    """All of torch's randomness in `step` follows from (seed, step), so a resumed run needs no saved state."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1)))
