from __future__ import annotations

import pytest
import torch

from genfoundry.networks.unet import SelfAttention, TimeEmbedding, UNet


def unet(channels: tuple[int, ...] = (8, 16), patch: int = 1, classes: int = 0) -> UNet:
    torch.manual_seed(0)
    return UNet((3, 8, 8), channels, patch, blocks=2, classes=classes)


@pytest.mark.parametrize(("channels", "patch"), [((8,), 1), ((8, 16), 2), ((8, 8, 16), 1)])
def test_a_prediction_has_the_shape_of_what_is_seen(channels: tuple[int, ...], patch: int) -> None:
    x_t = torch.randn(2, 3, 8, 8)
    assert unet(channels, patch)(x_t, torch.rand(2)).shape == x_t.shape


def test_blocks_attend_at_the_heights_asked_for() -> None:
    net = UNet((3, 8, 8), (8, 16), 1, blocks=2, classes=0, attention=(4,))
    attending = [isinstance(layer.attend, SelfAttention) for layer in net.up if hasattr(layer, "attend")]
    assert attending == [True] * 3 + [False] * 3  # 4×4, then 8×8
    assert net(torch.randn(2, 3, 8, 8), torch.rand(2)).shape == (2, 3, 8, 8)


def test_time_and_label_matter_and_a_single_time_serves_the_batch() -> None:
    net, x_t, label = unet(classes=3), torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    one = net(x_t, torch.full((1,), 0.3), label)
    torch.testing.assert_close(one, net(x_t, torch.full((2,), 0.3), label))
    assert not torch.allclose(one, net(x_t, torch.full((2,), 0.6), label))
    assert not torch.allclose(one, net(x_t, torch.full((2,), 0.3), label + 1))


def test_near_times_have_different_embeddings() -> None:
    torch.manual_seed(0)
    features = TimeEmbedding(16)(torch.linspace(0.0, 1.0, 1000))
    assert torch.cdist(features, features).fill_diagonal_(1.0).min() > 1e-4


def test_attention_is_blind_to_where_things_are() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(8), torch.randn(1, 8, 2, 2)
    torch.testing.assert_close(layer(x.flip(3)), layer(x).flip(3))
