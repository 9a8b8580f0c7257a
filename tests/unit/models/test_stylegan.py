from __future__ import annotations

import pytest
import torch

from genfoundry import losses
from genfoundry.contract import GenerativeModel
from genfoundry.models import build
from tests.unit import tiny

PARAMS = {
    "latent_dim": 4,
    "mapping_layers": 1,
    "generator_channels": 2,
    "discriminator_channels": 2,
    "widest": 4,
    "r1": 0.5,
    "r1_every": 4,
    "path_length": 2.0,
    "path_length_every": 3,
}


def stylegan(**changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("stylegan", {**PARAMS, **changes}, tiny.DATA)


def batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(6, *tiny.SHAPE)}


def test_regularisation_is_lazy_and_as_much_stronger() -> None:
    model, images = stylegan(), batch()
    turns = [[phase.runs_at(step) for step in range(6)] for phase in model.phases()]
    always, once = [True] * 6, [True, False, False, True, False, False]
    assert turns == [always, [True, False, False, False, True, False], always, once]
    term = model.phases()[1].loss(images).total
    torch.testing.assert_close(term, 4 * 0.5 * losses.r1(model.discriminator, images["image"]))


@pytest.mark.parametrize(("weights", "count"), [({}, 4), ({"r1": 0.0}, 3), ({"r1": 0.0, "path_length": 0.0}, 2)])
def test_what_weighs_nothing_is_no_phase(weights: dict[str, float], count: int) -> None:
    assert len(stylegan(**weights).phases()) == count


def test_path_lengths_are_held_to_their_running_mean() -> None:
    model = stylegan()
    first = model.phases()[3].loss(batch())
    for _ in range(400):
        loss = model.phases()[3].loss(batch())
    assert first.watched["mean_length"] < 0.1 * loss.watched["mean_length"]
    assert loss.terms["path_length"] < 2.0 * 3 * model.mean_length.square()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_samples_mixes_styles(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = stylegan(style_mixing=share)
    seen = []
    monkeypatch.setattr(model, "drawn", lambda w: seen.append(w) or w)
    model.sample(torch.empty(2000, 1))
    mixed = (seen[0][:, 0] != seen[0][:, -1]).any(dim=1).float().mean().item()
    layers = seen[0].shape[1]
    assert mixed == pytest.approx(share * (layers - 1) / layers, abs=0.05)


def test_training_moves_the_centre_of_truncation() -> None:
    model = stylegan()
    for _ in range(600):
        model.sample(torch.empty(64, 1))
    with torch.no_grad():
        expected = model.generator.mapping(torch.randn(20000, 4)).mean(dim=0)
    torch.testing.assert_close(model.generator.mapping.average, expected, rtol=0.0, atol=0.1)


def test_noise_comes_first_and_what_nobody_asks_for_is_as_in_training() -> None:
    (graph,) = stylegan().graphs()
    assert next(iter(graph.inputs)) == "noise"
    assert {name for name, spec in graph.inputs.items() if spec.default == 1.0} == {"crossover", "truncation"}
