from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import genfoundry
from genfoundry.files import sha256_file, write_json
from genfoundry.runtime.artifact import Artifact, ArtifactError, is_class
from genfoundry.spec import TensorSpec
from tests.unit import tiny

IMAGES = np.random.default_rng(0).random((9, *tiny.SHAPE), dtype=np.float32)


@pytest.fixture
def artifact(shipped: Path) -> Artifact:
    return Artifact.load(shipped)


def test_a_folder_and_a_file_load(shipped: Path) -> None:
    assert set(Artifact.load(shipped)) == {"generate", "encode", "decode", "reconstruct", "restore"}
    assert list(Artifact.load(str(shipped / "encode.onnx"))) == ["encode"]
    assert genfoundry.Artifact is Artifact


def test_files_say_what_they_are(artifact: Artifact) -> None:
    assert artifact.about.items() >= tiny.ABOUT.items()
    assert artifact.graph("generate").inputs == {"noise": TensorSpec(("batch", 3), "normal")}
    assert artifact.graph("generate").outputs == {"image": tiny.DATA.image}


@pytest.mark.parametrize("batch", [1, 4, 9, 100])
def test_any_batching_gives_the_same_result(artifact: Artifact, batch: int) -> None:
    told: list[tuple[int, int]] = []
    graph = artifact.graph("reconstruct")
    found = graph.run({"image": IMAGES}, batch, lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(found, artifact.reconstruct(IMAGES), atol=1e-6)
    assert told == [(min(end, 9), 9) for end in range(batch, 9 + batch, batch)]


def test_reconstruct_is_decode_of_encode(artifact: Artifact) -> None:
    latent = artifact.graph("encode")(image=IMAGES)
    decoded = artifact.graph("decode")(latent=latent)
    np.testing.assert_allclose(decoded, artifact.reconstruct(IMAGES), atol=1e-6)


def test_generate_follows_the_seed_whatever_the_batching(artifact: Artifact) -> None:
    images = artifact.generate(10, seed=3)
    assert images.shape == (10, *tiny.SHAPE)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_allclose(images, artifact.generate(10, seed=3, batch=3), atol=1e-6)
    assert np.array_equal(images, artifact.generate(10, seed=3))
    assert not np.allclose(images, artifact.generate(10, seed=4))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "reconstruct takes image; given: none"),
        ({"picture": IMAGES}, "takes image; given: picture"),
        ({"image": IMAGES, "noise": IMAGES}, "given: image, noise"),
        ({"image": IMAGES[0]}, r"image is \(1, 8, 8\), reconstruct takes \('batch', 1, 8, 8\)"),
        ({"image": IMAGES[:, :, :7]}, r"image is \(9, 1, 7, 8\)"),
        ({"image": IMAGES[:0]}, "at least 1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(artifact: Artifact, inputs: dict, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        artifact.graph("reconstruct")(**inputs)


@pytest.mark.parametrize("noise", [0.5, np.full((4, 3), 0.5)])
def test_an_input_that_is_asked_for_is_not_drawn(artifact: Artifact, noise: object) -> None:
    images = artifact.generate(4, inputs={"noise": noise})
    np.testing.assert_array_equal(images, artifact.graph("generate")(noise=np.full((4, 3), 0.5, np.float32)))
    with pytest.raises(ArtifactError, match="generate takes noise; given: noise, colour"):
        artifact.generate(4, inputs={"colour": 1.0})


def test_integers_and_lists_are_taken_as_numbers(artifact: Artifact) -> None:
    zeros = artifact.reconstruct(np.zeros((2, *tiny.SHAPE), np.float64))
    assert np.array_equal(zeros, artifact.graph("reconstruct")(image=np.zeros((2, *tiny.SHAPE), int).tolist()))


@pytest.mark.parametrize("label", [[0, 2], [-1, 0], [0.5, 1.0], [float("nan"), 0.0]])
def test_a_class_is_a_whole_number_that_there_is(label: list[float]) -> None:
    assert is_class(np.array([0, 1]), 2)
    assert not is_class(np.array(label), 2)


def test_no_images_at_all_is_refused(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="at least 1"):
        artifact.generate(0)


def test_a_graph_that_does_not_ship_is_named(shipped: Path) -> None:
    with pytest.raises(ArtifactError, match="no 'generate'; it has encode"):
        Artifact.load(shipped / "encode.onnx").generate(1)


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_place_without_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=f"{name}: no .onnx file here"):
        Artifact.load(tmp_path / name)


def test_a_run_s_files_are_those_of_its_card(shipped: Path, tmp_path: Path) -> None:
    for name in ("encode", "decode"):
        shutil.copy(shipped / f"{name}.onnx", tmp_path)
    assert set(Artifact.load(tmp_path).verify()) == {"encode.onnx", "decode.onnx"}
    graphs = {
        name: {"file": f"{name}.onnx", "sha256": sha256_file(tmp_path / f"{name}.onnx")} for name in ("encode",)
    }
    write_json(tmp_path / "card.json", {"graphs": graphs})
    assert Artifact.load(tmp_path / "encode.onnx").verify()
    with pytest.raises(ArtifactError, match=r"decode\.onnx is not the file that .*card\.json was written for"):
        Artifact.load(tmp_path).verify()
    for words in ("", "[]", '{"graphs": {"a": 1}}', "[" * 100_000):
        (tmp_path / "card.json").write_text(words)
        with pytest.raises(ArtifactError, match=r"card\.json cannot be read"):
            Artifact.load(tmp_path).verify()


def test_masked_pixels_are_filled_in(artifact: Artifact) -> None:
    mask = np.ones((9, 1, 8, 8), np.float32)
    mask[:, :, :4] = 0
    found = artifact.restore(IMAGES * mask, mask)
    np.testing.assert_allclose(found[:, :, 4:], IMAGES[:, :, 4:], atol=1e-6)
    with pytest.raises(ArtifactError, match="restore takes image, mask; given: image"):
        artifact.restore(IMAGES)


def test_a_renamed_file_is_still_the_graph_it_says(shipped: Path, tmp_path: Path) -> None:
    shutil.copy(shipped / "generate.onnx", tmp_path / "my-digits.onnx")
    assert len(Artifact.load(tmp_path / "my-digits.onnx").generate(2)) == 2
