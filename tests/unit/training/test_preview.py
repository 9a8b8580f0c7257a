from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from genfoundry.models import build
from genfoundry.pictures import GAP
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
    side = 2 * (8 + GAP) - GAP
    assert Image.open(io.BytesIO(drawn["generate"])).size == (side, side)


def test_pairs_show_each_image_beside_what_became_of_it() -> None:
    picture = np.asarray(Image.open(io.BytesIO(preview().draw(model())["reconstruct"])))
    assert np.array_equal(picture[:8, :8], IMAGES[0, 0])
    left = 2 * (8 + GAP)  # the third cell is the second original
    assert np.array_equal(picture[:8, left : left + 8], IMAGES[1, 0])


def test_the_same_model_gives_the_same_picture_and_keeps_its_mode_and_randomness() -> None:
    learner = model().train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = preview().draw(learner)
    assert torch.equal(torch.rand(3), expected)
    assert learner.training
    assert first == preview().draw(learner)
    assert first["generate"] != preview(seed=1).draw(learner)["generate"]
