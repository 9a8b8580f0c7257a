"""Fully connected layers."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(*widths: int, activation: type[nn.Module], dropout: float = 0.0) -> nn.Sequential:
    """(N, widths[0]) → (N, widths[-1]), with the activation and dropout behind each hidden layer."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [nn.Linear(fan_in, fan_out), activation(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
