from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from genfoundry.contract import GenerativeModel
from genfoundry.models import build
from tests.unit import tiny

PARAMS = {"latent_dim": 1, "channels": 2, "features": 8, "control": 1.0}


def conditional(levels: int = 2) -> GenerativeModel:
    torch.manual_seed(0)
    return build("conditional_vae", PARAMS, replace(tiny.DATA, levels=levels)).eval()


@pytest.mark.parametrize(("levels", "names"), [(2, {"generate", "elbo"}), (256, {"generate"})])
def test_a_bound_ships_where_pixels_are_bits(levels: int, names: set[str]) -> None:
    assert {graph.name for graph in conditional(levels).graphs()} == names


@pytest.mark.parametrize("label", [0, 1])
def test_the_bound_approaches_the_evidence_of_a_class_from_below(label: int) -> None:
    """With a one-dimensional latent, log p(x | y) is an integral that a grid can do."""
    model = conditional()
    bound = next(graph.module for graph in model.graphs() if graph.name == "elbo")
    sampler = next(graph.module for graph in model.graphs() if graph.name == "generate")
    image, noise = (torch.rand(1, *tiny.SHAPE) > 0.5).float(), torch.linspace(-8.0, 8.0, 4001)[:, None]
    with torch.no_grad():
        means = sampler(noise, torch.full((4001,), label))
        log_likelihood = torch.where(image > 0, means.log(), (1 - means).log()).flatten(1).sum(dim=1)
        log_prior = -0.5 * noise.square()[:, 0] - 0.5 * math.log(2 * math.pi)
        evidence = torch.logsumexp(log_prior + log_likelihood, 0) + math.log(16 / 4000)
        labels = torch.full((4000,), label)
        found = bound(image.expand(4000, -1, -1, -1), labels, torch.randn(4000, 1)).mean()
    assert evidence - 2.0 < found < evidence
