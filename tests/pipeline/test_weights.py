"""Weights as they are published, fetched for real, in the networks that are to have them."""

from pathlib import Path

import numpy as np
import pytest
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics)
from genfoundry.data.pretrained import fetch_weights, read_weights
from genfoundry.judge.extractor import squares
from genfoundry.metrics.frechet import frechet_distance
from genfoundry.networks.efficientnet_lite import MEAN, STD, EfficientNetLite0
from genfoundry.networks.inception import MEAN as ZERO
from genfoundry.networks.inception import SIZE, Inception
from genfoundry.networks.lpips import LPIPS
from genfoundry.params import Weights, read, validate
from genfoundry.pictures import to_bytes
from tests.unit.networks.made import inception_for_torchmetrics

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
def test_fid_is_what_torchmetrics_gives_by_the_same_weights(tmp_path):
    from torchmetrics.image.fid import FrechetInceptionDistance  # after torchvision's shim

    network = Inception().eval()
    network.load_published(published("inception_2015", tmp_path / "weights"))
    by_torchmetrics = FrechetInceptionDistance(
        feature_extractor_weights_path=inception_for_torchmetrics(network, tmp_path / "inception.pth")
    ).set_dtype(torch.float64)
    sets = [collage(20, side, seed) for seed, side in enumerate((64, 320))]  # enlarged, and made smaller
    features = []
    for real, images in zip((False, True), sets, strict=True):
        by_torchmetrics.update(torch.from_numpy(images), real=real)
        features.append(np.asarray(network((torch.from_numpy(squares(images, SIZE, "bilinear")) - ZERO) / ZERO)))
    assert frechet_distance(*features) == pytest.approx(float(by_torchmetrics.compute()), rel=1e-3)


def collage(count: int, side: int, seed: int) -> np.ndarray:
    """(count, 3, side, side) uint8: four colours in the corners, blended, with some grain."""
    rng = np.random.default_rng(seed)
    corners = torch.from_numpy(rng.random((count, 3, 2, 2), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(corners, (side, side), mode="bilinear", align_corners=True).numpy()
    return to_bytes(smooth + 0.05 * rng.standard_normal(smooth.shape))


@torch.no_grad()
def test_efficientnet_gives_what_its_publishers_package_gives(tmp_path):
    """`efficientnet-lite-pytorch` 0.1.0."""
    network = EfficientNetLite0().eval()
    network.load_published(published("efficientnet_lite0", tmp_path))
    (features,) = network((picture(96) - MEAN) / STD)
    found = [float(features.mean()), float(features.std()), float(features.max())]
    assert found == pytest.approx([0.1406146, 0.4997606, 5.4055376], abs=1e-4)
    assert int(features.argmax()) == 423
