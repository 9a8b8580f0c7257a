from __future__ import annotations

import pytest
import torch
from torch import nn

from genfoundry.networks.patchgan import patchgan
from genfoundry.params import ParamsError


@pytest.mark.parametrize(("halvings", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_the_paper_s_size(halvings: int, side: int) -> None:
    torch.manual_seed(0)
    local = [layer for layer in patchgan((2, 64, 64), 2, halvings) if not isinstance(layer, nn.InstanceNorm2d)]
    x = torch.rand(1, 2, 128, 128, requires_grad=True)
    logits = nn.Sequential(*local)(x)
    middle = logits.shape[2] // 2
    (slope,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    seen = slope.abs().sum(dim=(0, 1))
    assert int((seen.sum(dim=0) > 0).sum()) == int((seen.sum(dim=1) > 0).sum()) == side


def test_an_image_is_judged_alone_and_alike_in_training_and_evaluation() -> None:
    torch.manual_seed(0)
    net, x = patchgan((3, 16, 24), 4, 2), torch.rand(3, 3, 16, 24)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]))
    torch.testing.assert_close(net.train()(x), net.eval()(x))


@pytest.mark.parametrize(("side", "halvings"), [(5, 1), (11, 2), (23, 3)])
def test_too_few_pixels_are_refused_before_any_training(side: int, halvings: int) -> None:
    with pytest.raises(
        ParamsError, match=f"{side}×{2 * side} pixels are too few for patches of {halvings} halvings"
    ):
        patchgan((1, side, 2 * side), 4, halvings)
    assert patchgan((1, side + 1, side + 1), 4, halvings)(torch.rand(2, 1, side + 1, side + 1)).isfinite().all()
