from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.pictures import grid, to_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.container import ArtifactError
from genfoundry.runtime.images import mapped, names_of, pictures, read_pictures, save
from genfoundry.spec import TensorSpec

FIXED = TensorSpec(("batch", 1, 8, 8), "image")
ANY = TensorSpec(("batch", 3, "height", "width"), "image")
IMAGES = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
NAMES = ["a", "b", "c"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    save(IMAGES, NAMES, place)
    (place / "notes.txt").write_text("no image")
    return place


def test_a_folder_stands_for_its_images(folder: Path) -> None:
    assert [file.name for file in pictures([folder])] == ["a.png", "b.png", "c.png"]
    assert pictures([folder / "b.png", folder])[:2] == [folder / "b.png", folder / "a.png"]
    (folder / "none").mkdir()
    with pytest.raises(ArtifactError, match="no image here"):
        pictures([folder / "none"])


def test_pictures_are_cut_to_the_sides_that_are_fixed(folder: Path) -> None:
    np.testing.assert_allclose(read_pictures([folder / "a.png"], FIXED)[0], IMAGES[0], atol=0.5 / 255 + 1e-6)
    Image.new("RGB", (30, 20), (255, 0, 0)).save(folder / "wide.png")
    assert read_pictures([folder / "wide.png"], FIXED)[0].shape == (1, 8, 8)
    assert read_pictures([folder / "wide.png"], ANY)[0].shape == (3, 20, 30)


def test_what_is_no_picture_is_named(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"notes\.txt: not an image in a known format"):
        read_pictures([folder / "notes.txt"], FIXED)


@pytest.mark.parametrize(("stems", "expected"), [(["x", "y"], ["x", "y"]), (["x", "x"], ["0000-x", "0001-x"])])
def test_no_name_is_given_twice(stems: list[str], expected: list[str]) -> None:
    assert names_of([Path(f"{i}/{stem}.png") for i, stem in enumerate(stems)]) == expected


def test_each_form_holds_the_images(tmp_path: Path) -> None:
    expected = grid(to_bytes(IMAGES))[..., 0]
    for name in ("o.png", "o.webp"):
        save(IMAGES, NAMES, tmp_path / name)
        assert np.array_equal(np.asarray(Image.open(tmp_path / name).convert("L")), expected)
    save(IMAGES, NAMES, tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as arrays:
        assert np.array_equal(arrays["images"], IMAGES)
    assert save(IMAGES, NAMES, tmp_path / "row.png", columns=3) == f"3 images in {tmp_path / 'row.png'}"
    assert Image.open(tmp_path / "row.png").size == (28, 8)


def test_images_of_several_sizes_want_a_folder(tmp_path: Path) -> None:
    images = [IMAGES[0], IMAGES[0, :, :4]]
    with pytest.raises(ArtifactError, match="give a folder"):
        save(images, NAMES[:2], tmp_path / "o.png")
    save(images, NAMES[:2], tmp_path / "o")
    assert Image.open(tmp_path / "o" / "b.png").size == (8, 4)


def test_a_graph_is_run_on_each_file(shipped: Path, folder: Path) -> None:
    artifact, told = Artifact.load(shipped), []
    files = pictures([folder])
    found = mapped(artifact.graph("reconstruct"), files, {}, lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(np.stack(found), artifact.reconstruct(IMAGES), atol=1e-2)
    assert told == [(3, 3)]
    mask = folder.parent / "mask.png"
    Image.fromarray(np.uint8([[255] * 8] * 4 + [[0] * 8] * 4)).save(mask)
    filled = mapped(artifact.graph("restore"), files, {"mask": mask})
    np.testing.assert_allclose(np.stack(filled)[:, :, :4], IMAGES[:, :, :4], atol=0.5 / 255 + 1e-6)
    with pytest.raises(ArtifactError, match="restore takes an image and mask; given: none"):
        mapped(artifact.graph("restore"), files, {})
    with pytest.raises(ArtifactError, match="reconstruct takes an image and nothing else; given: mask"):
        mapped(artifact.graph("reconstruct"), files, {"mask": mask})
