from __future__ import annotations

import numpy as np
import pytest
import torch

from genfoundry.judge.published import EXTRACTORS, Looking


@torch.no_grad()
@pytest.mark.parametrize(("name", "zero"), [("efficientnet_lite0", 127.0), ("inception_2015", 128.0)])
def test_a_network_sees_pixels_as_it_was_trained_on_them(name: str, zero: float) -> None:
    """(x − 127) / 128 of bytes, or (x − 128) / 128: not ImageNet's mean and deviation."""
    looking = Looking(EXTRACTORS[name], 96).eval()
    seen: list[torch.Tensor] = []
    looking.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.randint(0, 256, (1, 3, 96, 96))
    looking(image / 255.0)
    torch.testing.assert_close(seen[0], (image - zero) / 128.0, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("published", EXTRACTORS.values(), ids=lambda published: published.short)
def test_the_graph_promises_what_the_network_gives(published) -> None:
    looking = Looking(published, 96).eval()
    (output,) = looking.graph().outputs.values()
    assert output.fits(np.asarray(looking(torch.rand(2, 3, 96, 96))).shape)
