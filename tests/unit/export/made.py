from __future__ import annotations

import torch
from torch import Tensor, nn

from genfoundry.contract import Graph, Scan, TensorSpec


class Step(nn.Module):
    """A weight large enough to be seen in the file's size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(64, 64)

    def forward(self, state: Tensor, rate: Tensor, offset: Tensor, label: Tensor) -> Tensor:
        return state + rate * torch.tanh(self.linear(state)) + offset * label[:, None]


def scan_graph(steps: int) -> Graph:
    rows = {"rate": torch.linspace(0.1, 0.9, steps), "offset": torch.linspace(0.3, 0.0, steps)}
    inputs = {
        "noise": TensorSpec(("batch", 64), "normal"),
        "label": TensorSpec(("batch",), "label", high=2, dtype="int64"),
    }
    return Graph("decode", Scan(Step(), rows, nn.Tanh()), inputs, {"latent": TensorSpec(("batch", 64), "value")})
