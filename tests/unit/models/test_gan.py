from __future__ import annotations

import pytest
import torch

from genfoundry.contract import GenerativeModel
from genfoundry.models import build
from tests.unit import tiny

PARAMS = {"noise_dim": 4, "generator_hidden": 8, "discriminator_hidden": 8, "dropout": 0.0, "loss": "hinge"}


def gan(**changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("gan", {**PARAMS, **changes}, tiny.DATA)


def batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(6, *tiny.SHAPE)}


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({}, {"real", "fake"}),
        ({"loss": "minimax", "r1": 1.0}, {"real", "fake", "r1"}),
        ({"loss": "wasserstein", "gradient_penalty": 10.0}, {"critic", "gradient_penalty"}),
    ],
)
def test_the_discriminator_s_terms_are_those_asked_for_and_all_move_it(
    changes: dict[str, object], terms: set[str]
) -> None:
    model = gan(**changes)
    losses = [phase.loss(batch()) for phase in model.phases() if phase.optimizer == "discriminator"]
    found = {name: term for loss in losses for name, term in loss.terms.items()}
    assert set(found) == terms
    for term in found.values():
        (slope,) = torch.autograd.grad(term, model.discriminator[1].weight, retain_graph=True)
        assert slope.abs().sum() > 0


def test_r1_is_lazy_and_as_much_stronger() -> None:
    often, seldom = (gan(r1=1.0, r1_every=every).phases()[1] for every in (1, 4))
    assert [phase.every for phase in (often, seldom)] == [1, 4]
    images = batch()
    strong, weak = (phase.loss(images).terms["r1"].item() for phase in (seldom, often))
    assert strong == pytest.approx(4 * weak)


@pytest.mark.parametrize(("loss", "watched"), [("minimax", 2), ("non_saturating", 2), ("hinge", 0)])
def test_saturation_is_watched_where_logits_mean_probabilities(loss: str, watched: int) -> None:
    found = gan(loss=loss).phases()[1].loss(batch()).watched
    assert len([name for name in found if name.startswith("slope")]) == watched


def test_spectral_norm_bounds_the_discriminator_s_slope() -> None:
    model = gan(spectral_norm=True).eval()
    with torch.no_grad():
        for layer in model.discriminator:
            if hasattr(layer, "parametrizations"):
                layer.parametrizations.weight.original.mul_(100.0)
    a, b = torch.rand(2, 50, *tiny.SHAPE)
    for _ in range(30):  # power iterations
        model.train().discriminator(a)
    gap = (model.discriminator(a) - model.discriminator(b)).abs()[:, 0]
    assert (gap <= 1.05 * (a - b).flatten(1).norm(dim=1)).all()
