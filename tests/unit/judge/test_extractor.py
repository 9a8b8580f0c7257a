from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import onnx
from genfoundry.files import sha256_file, write_json
from genfoundry.judge.extractor import ABOUT, CHUNK, Extractor, as_bytes, resampling, squares
from genfoundry.metrics import MetricError

RNG = np.random.default_rng(0)


class Corners(nn.Module):
    """Features that say what the image looked like."""

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 6, 6) → (N, 12)."""
        return image[:, :, ::5, ::5].flatten(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published network that sees images as 6 pixels."""
    folder = tmp_path_factory.mktemp("corners")
    specs = TensorSpec(("batch", 3, 6, 6), "image"), TensorSpec(("batch", 12), "value")
    graph = Graph("encode", Corners().eval(), {"image": specs[0]}, {"features": specs[1]})
    onnx.write(graph, folder / "encode.onnx", {}, opset=20)
    words = {"protocol": {"extractor": "corners"}, "resize": {"size": 6, "filter": "bilinear"}}
    write_json(folder / ABOUT, words)
    return folder


def images(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *shape)).astype(np.uint8)


@pytest.mark.parametrize("filter", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 50), (200, 131)])
def test_resampling_is_pillow_s_and_torch_s(height: int, width: int, filter: str) -> None:
    image = RNG.random((height, width), dtype=np.float32)
    found = resampling(height, 96, filter) @ image @ resampling(width, 96, filter).T
    by_pillow = np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling[filter.upper()]))
    by_torch = F.interpolate(torch.from_numpy(image)[None, None], (96, 96), mode=filter, antialias=True)[0, 0]
    np.testing.assert_allclose(found, by_pillow, atol=1e-5)
    np.testing.assert_allclose(found, by_torch, atol=1e-5)


def test_resampling_to_the_same_size_changes_nothing() -> None:
    assert np.array_equal(resampling(32, 32, "bicubic"), np.eye(32))


def test_grey_is_seen_as_rgb() -> None:
    grey = images(2, 1, 9, 7)
    found = squares(grey, 5, "bilinear")
    assert found.shape == (2, 3, 5, 5)
    assert np.array_equal(found, squares(grey.repeat(3, axis=1), 5, "bilinear"))


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 6, 6), (3, 9, 20)])
def test_images_of_any_size_are_seen(folder: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    batch = images(CHUNK + 3, *shape)
    seen = Extractor(folder, tmp_path).look(batch)
    assert seen.features.shape == (CHUNK + 3, 12)
    if shape == (3, 6, 6):
        np.testing.assert_allclose(seen.features, batch[:, :, ::5, ::5].reshape(-1, 12) / 255.0, atol=1e-6)


def test_nothing_is_looked_at_twice(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = images(2 * CHUNK, 1, 6, 6)
    first = Extractor(folder, tmp_path).look(batch).features
    assert len(list(tmp_path.iterdir())) == 2
    calls: list[int] = []
    original = Extractor.features
    monkeypatch.setattr(Extractor, "features", lambda self, x: (calls.append(len(x)), original(self, x))[1])
    batch[-1, 0, 0, 0] ^= 255
    again = Extractor(folder, tmp_path).look(batch).features
    assert calls == [CHUNK]  # the half that changed
    assert np.array_equal(again[:-1], first[:-1])
    assert not np.array_equal(again[-1], first[-1])


def test_a_score_names_the_file_that_saw(folder: Path) -> None:
    assert Extractor(folder).protocol == {"extractor": "corners", "sha256": sha256_file(folder / "encode.onnx")}


def test_a_published_network_knows_no_classes(folder: Path, tmp_path: Path) -> None:
    extractor = Extractor(folder, tmp_path)
    assert not extractor.knows_classes
    with pytest.raises(MetricError, match="knows no classes"):
        _ = extractor.look(images(3, 1, 6, 6)).labels


def test_only_bytes_are_looked_at(folder: Path) -> None:
    with pytest.raises(MetricError, match="scores are of images in bytes, not in float32"):
        Extractor(folder).look(np.zeros((3, 1, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("pixel", "words"),
    [(np.nan, "hold NaN or infinity"), (np.inf, "hold NaN"), (1.01, "from 0 to 1.01"), (-0.5, "from -0.5 to")],
)
def test_images_that_are_none_are_refused(pixel: float, words: str) -> None:
    batch = np.zeros((2, 1, 4, 4), np.float32)
    batch[1, 0, 2, 2] = pixel
    with pytest.raises(MetricError, match=words):
        as_bytes(batch)


def test_what_is_out_of_range_by_rounding_is_not() -> None:
    batch = np.array([-1e-4, 0.0, 0.5, 1.0, 1.001], np.float32).reshape(5, 1, 1, 1)
    assert as_bytes(batch).ravel().tolist() == [0, 0, 128, 255, 255]
