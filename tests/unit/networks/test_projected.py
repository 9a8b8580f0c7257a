from __future__ import annotations

import torch
from torch import Tensor, nn

from genfoundry.networks.projected import ProjectedDiscriminator

DEPTHS = (4, 16)


def discriminator() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(nn.Conv2d(3, 1, 4, stride=2, padding=1), DEPTHS, channels=8)


def maps() -> list[Tensor]:
    """Of 6 × 6 and 3 × 3 places, each of unit length."""
    return [
        nn.functional.normalize(torch.randn(2, depth, side, side))
        for depth, side in zip(DEPTHS, (6, 3), strict=True)
    ]


def test_each_map_has_logits_of_its_own_beside_those_of_pixels() -> None:
    net, x, seen = discriminator(), torch.rand(2, 3, 16, 16), maps()
    logits = net(x, seen)
    assert logits.shape == (2, 3, 8, 8)
    torch.testing.assert_close(logits[:, :1], net.pixels(x))
    other = net(x, [seen[0], torch.zeros_like(seen[1])])
    assert torch.equal(other[:, :2], logits[:, :2])
    assert not torch.allclose(other[:, 2], logits[:, 2])


def test_coarse_maps_have_an_equal_part_in_the_mean() -> None:
    net, x = discriminator(), torch.rand(2, 3, 8, 8)
    seen = [
        nn.functional.normalize(torch.randn(2, depth, side, side))
        for depth, side in zip(DEPTHS, (4, 2), strict=True)
    ]
    alone = net.heads[1](seen[1] * DEPTHS[1] ** 0.5)
    torch.testing.assert_close(net(x, seen)[:, 2].mean(), alone.mean())


def test_maps_of_any_depth_begin_at_one_size() -> None:
    torch.manual_seed(0)
    sizes = []
    for depth in (8, 512):
        net = ProjectedDiscriminator(nn.Conv2d(3, 1, 1), [depth], channels=256)
        seen = nn.functional.normalize(torch.randn(64, depth, 4, 4))
        sizes.append(float(net(torch.rand(64, 3, 4, 4), [seen])[:, 1].detach().std()))
    assert max(sizes) < 1.5 * min(sizes)


def test_without_maps_it_is_what_it_was_given() -> None:
    pixels, x = nn.Conv2d(3, 1, 1), torch.rand(2, 3, 8, 8)
    assert torch.equal(ProjectedDiscriminator(pixels, (), 0)(x, []), pixels(x))
