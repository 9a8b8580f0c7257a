from __future__ import annotations

import numpy as np
import torch

from genfoundry.models import build
from genfoundry.training.preview import Preview
from genfoundry.training.runtime import Runtime
from tests.unit import tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (4, *tiny.SHAPE)).astype(np.uint8)


def preview(seed: int = 0) -> Preview:
    return Preview({"image": IMAGES}, Runtime(torch.device("cpu")), seed)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("vae", tiny.VAE, tiny.DATA)


def test_each_graph_with_a_picture_is_drawn() -> None:
    drawn = preview().draw(model())
    assert set(drawn) == {"generate", "reconstruct", "restore"}
    assert drawn["generate"].shape == IMAGES.shape
    assert drawn["generate"].dtype == np.uint8
    assert len(drawn["reconstruct"]) == 2 * len(IMAGES)


def test_pairs_show_each_image_beside_what_became_of_it() -> None:
    assert np.array_equal(preview().draw(model())["reconstruct"][::2], IMAGES)


def test_the_same_model_gives_the_same_picture_and_keeps_its_mode_and_randomness() -> None:
    learner = model().train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = preview().draw(learner)
    assert torch.equal(torch.rand(3), expected)
    assert learner.training
    again, other = preview().draw(learner), preview(seed=1).draw(learner)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["generate"], other["generate"])
