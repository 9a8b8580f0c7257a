"""Weights as they are published, fetched for real, in the networks that are to have them."""

from pathlib import Path

import pytest
import torch

from genfoundry.data.pretrained import fetch_weights, read_weights
from genfoundry.networks.efficientnet_lite import MEAN, STD, EfficientNetLite0
from genfoundry.networks.lpips import LPIPS
from genfoundry.params import Weights, read, validate

pytestmark = [pytest.mark.pipeline, pytest.mark.xdist_group("pipeline")]

ENTRIES = {
    name: entry
    for file in ("params.yaml", "profiles/full.yaml")
    for name, entry in read(Path(__file__).parents[2] / file).get("weights", {}).items()
}


def published(name: str, folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an entry that params.yaml has."""
    fetch_weights(name, validate(Weights, ENTRIES[name], f"weights.{name}"), folder / name)
    return read_weights(name, folder)


def picture(side: int) -> torch.Tensor:
    """(1, 3, side, side): red grows to the right, green downwards, blue to the corner."""
    right = torch.linspace(0, 1, side).expand(side, side)
    return torch.stack([right, right.T, right * right.T])[None]


@pytest.mark.parametrize(("trunk", "distance"), [("alexnet", 0.3799787), ("vgg16", 0.6321345)])
@torch.no_grad()
def test_lpips_gives_what_its_authors_package_gives(tmp_path, trunk, distance):
    """`lpips` 0.1.4, version 0.1 of the heads."""
    network = LPIPS(trunk)
    network.load_published(published(f"lpips_{trunk}", tmp_path))
    x = picture(64)
    assert float(network(x, x.flip(3))) == pytest.approx(distance, abs=1e-5)


@torch.no_grad()
def test_efficientnet_gives_what_its_publishers_package_gives(tmp_path):
    """`efficientnet-lite-pytorch` 0.1.0."""
    network = EfficientNetLite0().eval()
    network.load_published(published("efficientnet_lite0", tmp_path))
    (features,) = network((picture(96) - MEAN) / STD)
    found = [float(features.mean()), float(features.std()), float(features.max())]
    assert found == pytest.approx([0.1406146, 0.4997606, 5.4055376], abs=1e-4)
    assert int(features.argmax()) == 423
