from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from genfoundry.contract import DataSpec
from genfoundry.judge.extractor import PretrainedJudge, resampling
from genfoundry.params import Extractor

CONFIG = Extractor(extractor="efficientnet_lite0", size=32)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 50), (200, 131)])
def test_resampling_is_pillow_s_and_torch_s(height: int, width: int) -> None:
    image = np.random.default_rng(0).random((height, width), dtype=np.float32)
    found = resampling(height, 96) @ torch.from_numpy(image) @ resampling(width, 96).T
    by_pillow = np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling.BICUBIC))
    by_torch = F.interpolate(torch.from_numpy(image)[None, None], (96, 96), mode="bicubic", antialias=True)[0, 0]
    np.testing.assert_allclose(found, by_pillow, atol=1e-5)
    torch.testing.assert_close(found, by_torch, atol=1e-5, rtol=0)


def test_resampling_to_the_same_size_changes_nothing() -> None:
    assert torch.equal(resampling(32, 32), torch.eye(32))


@torch.no_grad()
def test_grey_is_seen_as_rgb() -> None:
    torch.manual_seed(0)
    grey = PretrainedJudge(CONFIG, DataSpec((1, 40, 30), ())).eval()
    colour = PretrainedJudge(CONFIG, DataSpec((3, 40, 30), ())).eval()
    colour.load_state_dict(grey.state_dict())
    images = torch.rand(2, 1, 40, 30)
    assert grey(images).shape == (2, 1280)
    assert torch.equal(grey(images), colour(images.repeat(1, 3, 1, 1)))


@torch.no_grad()
def test_the_network_sees_pixels_as_it_was_trained_on_them() -> None:
    """(x − 127) / 128 of bytes: not ImageNet's mean and deviation."""
    judge = PretrainedJudge(CONFIG, DataSpec((3, 32, 32), ())).eval()
    seen: list[torch.Tensor] = []
    judge.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.randint(0, 256, (1, 3, 32, 32))
    judge(image / 255.0)
    torch.testing.assert_close(seen[0], (image - 127.0) / 128.0, atol=1e-5, rtol=0)
