from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genfoundry.data import DataError
from genfoundry.networks.efficientnet_lite import FEATURES, EfficientNetLite0, SameConv
from tests.unit import tiny


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return tiny.effnet()


@pytest.mark.parametrize("size", [(96, 96), (33, 64), (75, 50)])
@torch.no_grad()
def test_any_size_gives_as_many_features(network: EfficientNetLite0, size: tuple[int, int]) -> None:
    features = network(torch.randn(2, 3, *size))
    assert features.shape == (2, FEATURES)
    assert features.min() >= 0
    assert features.max() <= 6


def test_it_is_as_large_as_published(network: EfficientNetLite0) -> None:
    """4.7 M parameters, of which the classifier that is left out has 1000 (1280 + 1)."""
    classifier = 1000 * (FEATURES + 1)
    assert sum(p.numel() for p in network.parameters()) == 4_652_008 - classifier


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [8, 9])
def test_padding_is_tensorflow_s(kernel: int, side: int) -> None:
    x = torch.randn(1, 2, side, side)
    for stride in (1, 2):
        same = SameConv(2, 3, kernel, stride, bias=False)
        # The end gets the larger half: with an even side and stride 2 the start has one less.
        start = (kernel - 1) // 2 - (1 if stride == 2 and side % 2 == 0 else 0)
        whole = F.conv2d(F.pad(x, (start, kernel, start, kernel)), same.weight, stride=stride)
        count = -(-side // stride)
        assert same(x).shape == (1, 3, count, count)
        torch.testing.assert_close(same(x), whole[:, :, :count, :count])


@torch.no_grad()
def test_published_weights_come_to_their_places(network: EfficientNetLite0) -> None:
    torch.manual_seed(1)
    other, x = EfficientNetLite0().eval(), torch.randn(2, 3, 64, 64)
    assert not torch.allclose(other(x), network(x))
    other.load_published(tiny.effnet_tensors(network))
    assert torch.equal(other(x), network(x))


@pytest.mark.parametrize(
    ("name", "words"),
    [("_blocks.3._bn1.weight", "depthwise.1.weight"), ("_conv_head.weight", "head.0.weight")],
)
def test_other_weights_are_refused(network: EfficientNetLite0, name: str, words: str) -> None:
    tensors = tiny.effnet_tensors(network)
    missing = {key: t for key, t in tensors.items() if key != name}
    for wrong in (missing, {**tensors, name: torch.zeros(7)}):
        with pytest.raises(DataError, match=rf"not the weights of EfficientNet-Lite0: (.|\n)*{words}"):
            network.load_published(wrong)
