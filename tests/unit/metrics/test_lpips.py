from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genfoundry.data import DataError
from genfoundry.files import sha256_file
from genfoundry.metrics import Paired, lpips, psnr
from genfoundry.metrics.lpips import METRIC, LpipsDistance
from genfoundry.networks.lpips import LPIPS
from tests.unit import tiny

RNG = np.random.default_rng(0)
X, Y = RNG.random((2, 5, 3, 40, 33), dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "lpips_alexnet"
    path.mkdir()
    save_file(tiny.lpips_tensors(LPIPS("alexnet")), path / "weights.safetensors")
    return path


def test_a_distance_for_each_pair(folder: Path) -> None:
    distance = LpipsDistance(folder)
    found = distance(X, Y)
    assert found.shape == (5,)
    assert found.dtype == np.float32
    assert (found > 0).all()
    assert distance(X, X).tolist() == [0.0] * 5
    np.testing.assert_allclose(found, distance(Y, X), rtol=1e-5)


def test_blocks_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LpipsDistance(folder)(X, Y)
    monkeypatch.setattr(lpips, "BLOCK_PIXELS", 2 * 40 * 33 + 1)
    np.testing.assert_allclose(LpipsDistance(folder)(X, Y), whole, rtol=1e-5)


def test_the_trunk_follows_from_the_weights(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vgg").mkdir()
    save_file(tiny.lpips_tensors(LPIPS("vgg16")), tmp_path / "vgg/weights.safetensors")
    assert not np.allclose(LpipsDistance(tmp_path / "vgg")(X, Y), LpipsDistance(folder)(X, Y))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="not weights of LPIPS"):
        LpipsDistance(tmp_path)
    with pytest.raises(DataError, match="`dvc repro weights@nothing` fetches it"):
        LpipsDistance(tmp_path / "nothing")


def test_the_score_is_the_mean_distance_and_none_where_images_are_equal(folder: Path) -> None:
    distance = LpipsDistance(folder)
    assert METRIC.compute(Paired(X, X, distance(X, X)), tiny.evaluation()).value == 0.0
    found = METRIC.compute(Paired(X, Y, distance(X, Y)), tiny.evaluation()).value
    assert found == pytest.approx(float(np.mean([distance(X[[i]], Y[[i]])[0] for i in range(5)])), rel=1e-5)


def test_there_is_a_score_only_where_distances_were_measured() -> None:
    assert METRIC.fits(Paired(X, Y, np.ones(5)))
    assert not METRIC.fits(Paired(X, Y))
    assert psnr.METRIC.fits(Paired(X, Y))


def test_scores_cite_the_weights(folder: Path) -> None:
    digest = sha256_file(folder / "weights.safetensors")
    assert LpipsDistance(folder).protocol == {"extractor": "lpips_alexnet", "sha256": digest}
