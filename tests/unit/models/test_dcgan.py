from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genfoundry.contract import GenerativeModel
from genfoundry.export import gate, onnx
from genfoundry.models import build
from tests.unit import tiny

PARAMS = {"noise_dim": 4, "generator_channels": 4, "discriminator_channels": 4}
LABEL = torch.tensor([0, 1, 0, 1])


def dcgan(**changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("dcgan", {**PARAMS, **changes}, tiny.DATA)


def batch(label: torch.Tensor = LABEL) -> dict[str, torch.Tensor]:
    return {"image": torch.rand(4, *tiny.SHAPE), "label": label}


@pytest.mark.parametrize(("conditional", "keys"), [(False, {"image"}), (True, {"image", "label"})])
def test_labels_are_needed_by_a_conditional_model_alone(conditional: bool, keys: set[str]) -> None:
    model = dcgan(conditional=conditional)
    assert model.needs == keys
    for phase in model.phases():
        assert phase.loss({key: batch()[key] for key in keys}).total.isfinite()


def test_both_players_of_a_conditional_game_learn_from_the_class() -> None:
    model = dcgan(conditional=True)
    for phase in model.phases():
        phase.loss(batch()).total.backward()
        assert all(p.grad is not None and p.grad.any() for p in phase.trains.parameters())
        model.zero_grad()
    model.eval()
    images = batch()["image"]
    assert not torch.allclose(model.logits(images, batch(LABEL)), model.logits(images, batch(1 - LABEL)))
    noise = torch.randn(4, 4)
    assert not torch.allclose(model.sampler(noise, LABEL), model.sampler(noise, 1 - LABEL))


@pytest.mark.parametrize("conditional", [False, True])
def test_it_ships_with_or_without_a_label(conditional: bool, tmp_path: Path) -> None:
    (graph,) = dcgan(conditional=conditional).eval().graphs()
    assert list(graph.inputs) == (["noise", "label"] if conditional else ["noise"])
    onnx.write(graph, tmp_path / "generate.onnx", {}, opset=20)
    gate.check(graph, tmp_path / "generate.onnx", tiny.GATE)
