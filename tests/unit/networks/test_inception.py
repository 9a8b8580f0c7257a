from __future__ import annotations

from pathlib import Path

import pytest
import torch

import genfoundry.torchvision_shim  # noqa: F401  (before torch-fidelity)
from genfoundry.data import DataError
from genfoundry.networks.inception import FEATURES, MEAN, SIZE, STD, Inception
from tests.unit.networks.made import inception_for_torchmetrics


@pytest.fixture(scope="module")
def network() -> Inception:
    torch.manual_seed(0)
    network = Inception().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith((".beta", ".mean")):
            tensor.normal_(0.0, 0.1)
        elif name.endswith(".var"):
            tensor.uniform_(0.5, 1.5)
    return network


@torch.no_grad()
def test_is_the_network_of_torch_fidelity(network: Inception, tmp_path: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    weights = inception_for_torchmetrics(network, tmp_path / "inception.pth")
    reference = FeatureExtractorInceptionV3("reference", ["2048"], weights).eval()
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    (expected,) = reference(images)
    found = network((images / 255.0 - MEAN) / STD)
    assert found.shape == (2, FEATURES)
    assert found.min() >= 0.0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_it_is_as_large_as_published(network: Inception) -> None:
    """23.9 M with the classifier and BatchNorm's scales, which the published graph has not."""
    assert sum(p.numel() for p in network.parameters()) == 21_768_352
    assert len(network.state_dict()) == 4 * 94


def test_published_weights_come_to_their_places_and_others_are_refused(network: Inception) -> None:
    tensors = {f"net.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.manual_seed(1)
    other = Inception()
    other.load_published(tensors)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in other.state_dict().items())
    del tensors["net.layers.mixed_10.conv.beta"]
    with pytest.raises(DataError, match=r"not the weights of Inception-2015: (.|\n)*mixed_10.conv.beta"):
        other.load_published(tensors)
