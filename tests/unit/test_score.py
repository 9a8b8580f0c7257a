from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genfoundry import score as scoring
from genfoundry.cli import main
from genfoundry.data import DataError
from genfoundry.data.folder import ORIENTATION, decoded, files_of
from genfoundry.judge.extractor import Extractor
from genfoundry.judge.published import EXTRACTORS
from genfoundry.metrics import Sampled, Seen
from genfoundry.metrics.frechet import frechet_distance
from genfoundry.params import load
from genfoundry.score import LEAST, Request, ScoreError
from tests.unit.judge.test_extractor import folder as corners  # noqa: F401  (a fixture)

RNG = np.random.default_rng(0)
COUNT = LEAST + 2


def write_images(folder: Path, count: int = COUNT, size: int = 8, brightness: int = 100) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = RNG.integers(brightness, brightness + 100, (size, size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture(autouse=True)
def small(corners: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A published network that is not fetched."""
    monkeypatch.setattr(scoring, "extractor_of", lambda name, params: Extractor(corners, tmp_path / "features"))


def scores(real: Path, samples: Path, **rest: Any) -> dict[str, float]:
    return {score.name: score.value.value for score in scoring.score(Request(real, samples, **rest))[0]}


def test_two_folders_are_compared_by_their_features(tmp_path: Path, corners: Path) -> None:  # noqa: F811
    a, b = write_images(tmp_path / "a"), write_images(tmp_path / "b/deep", brightness=50).parent
    found, protocol = scoring.score(Request(a, b))
    images = [decoded(folder, files_of(folder), None) for folder in (b, a)]
    features = [Extractor(corners, tmp_path / "f").look(batch).features for batch in images]
    by_name = {score.name: score.value.value for score in found}
    assert by_name["fd_corners"] == pytest.approx(frechet_distance(*features))
    assert set(by_name) == {
        *(f"{name}_corners" for name in ("fd", "kd", "fd_infinity", "precision", "recall", "density", "coverage"))
    }
    assert (protocol["n"], protocol["n_real"], protocol["extractor"]) == (COUNT, COUNT, "corners")


def test_training_images_tell_copies(tmp_path: Path) -> None:
    real, train = write_images(tmp_path / "real"), write_images(tmp_path / "train")
    assert scores(real, train, train=train)["copies_corners"] == 1.0
    assert scores(real, write_images(tmp_path / "new"), train=train)["copies_corners"] < 0.3


def test_a_generator_is_compared_with_a_prepared_data_set(
    prepared: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LEAST", 40)  # as many as are held out
    found, protocol = scoring.score(Request(prepared, shipped / "generate.onnx", count=40))
    assert protocol["n"] == protocol["kid_subset_size"] == 40
    assert len(protocol["file_sha256"]) == 64
    by_name = {score.name: score for score in found}
    floor = by_name["fd_corners"].floor
    assert floor is not None
    assert floor.value < by_name["fd_corners"].value.value
    assert by_name["copies_corners"].floor is None


def test_files_of_one_name_are_compared_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Distance:
        protocol = {"extractor": "none"}  # noqa: RUF012

        def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.abs(x - y).mean(axis=(1, 2, 3))

    monkeypatch.setattr(scoring, "weights_of", lambda name, params: Path(name))
    monkeypatch.setattr(scoring, "LpipsDistance", lambda folder: Distance())
    a = write_images(tmp_path / "a", 3, size=32)
    assert scores(a, a, paired=True) == {"psnr": np.inf, "ssim": pytest.approx(1.0), "mse": 0.0, "lpips": 0.0}
    b = write_images(tmp_path / "b", 3, size=32)
    assert scores(a, b, paired=True)["psnr"] < 20
    (b / "001.png").unlink()
    with pytest.raises(ScoreError, match=r"b lacks 001\.png; --paired compares files of one name"):
        scores(a, b, paired=True)
    with pytest.raises(ScoreError, match=r"sizes differ: 32×32 and 16×16; --size N"):
        scores(a, write_images(tmp_path / "c", 3, size=16), paired=True)
    c = tmp_path / "c"
    assert set(scores(c, c, paired=True)) == {"psnr", "ssim", "mse"}  # LPIPS has nothing left to pool


def test_a_note_says_that_images_are_few() -> None:
    features = np.random.default_rng(0).random((9, 8), np.float32)
    note = scoring.remark(Sampled(Seen(features[:8]), Seen(features)))["note"]
    assert note.startswith("8 images for 8 features: the Fréchet distance is mostly bias")
    assert scoring.remark(Sampled(Seen(features), Seen(features))) == {}


def test_mixed_sizes_are_an_error_that_says_what_helps(tmp_path: Path) -> None:
    mixed = write_images(tmp_path / "mixed")
    write_images(mixed / "more", 5, size=12)
    same = write_images(tmp_path / "same")
    with pytest.raises(DataError, match=rf"2 sizes: {COUNT} of 8×8, 5 of 12×12; --size N"):
        scores(same, mixed)
    assert scores(same, mixed, size=8)["fd_corners"] >= 0.0
    with pytest.raises(ScoreError, match="sizes differ: samples 12×12, real images 8×8; --size N"):
        scores(same, write_images(tmp_path / "large", size=12))


def test_images_of_a_folder_are_made_as_large_as_a_generator_s(tmp_path: Path, shipped: Path) -> None:
    photos = write_images(tmp_path / "photos", size=12)
    with pytest.raises(ScoreError, match="sizes differ"):
        scoring.score(Request(photos, shipped / "generate.onnx", count=COUNT))
    _, protocol = scoring.score(Request(photos, shipped / "generate.onnx", count=COUNT, size=8))
    assert protocol["images"] == "cut and resized to 8×8, Lanczos, antialiased"


def test_photos_that_lie_on_their_side_are_turned_and_not_cut(tmp_path: Path) -> None:
    upright = write_images(tmp_path / "upright", size=8)
    for path in files_of(upright):
        Image.open(path).resize((8, 12)).save(path)
    lying = tmp_path / "lying"
    lying.mkdir()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for path in files_of(upright):
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(lying / path.name, exif=exif)
    a, b = (decoded(folder, files_of(folder), None) for folder in (upright, lying))
    assert a.shape == (COUNT, 3, 12, 8)
    assert np.array_equal(a, b)


def test_the_floor_is_of_as_many_training_images_whatever_their_order(tmp_path: Path) -> None:
    real, train = write_images(tmp_path / "real"), write_images(tmp_path / "train", 2 * COUNT)
    for path in files_of(train)[:COUNT]:  # sorted by brightness
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    found, protocol = scoring.score(Request(real, real, train=train))
    floor = next(score.floor for score in found if score.name == "precision_corners")
    assert floor is not None
    assert 0.2 < floor.value < 0.8  # not all of the dark ones
    assert protocol["n_train"] == 2 * COUNT
    few, _ = scoring.score(Request(real, real, train=write_images(tmp_path / "few", LEAST)))
    assert all(score.floor is None for score in few)


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        (lambda a, data, onnx: Request(onnx, a), "generate.onnx is not a folder of images, or a prepared data set"),
        (lambda a, data, onnx: Request(data, a, paired=True), "--paired compares two folders"),
        (lambda a, data, onnx: Request(data, onnx, size=8), "--size is for folders of images"),
        (lambda a, data, onnx: Request(a, a, train=a, paired=True), "--train is for distributions"),
        (lambda a, data, onnx: Request(a, a, train=onnx), "generate.onnx is not a folder of images"),
        (lambda a, data, onnx: Request(a, a, train=a.parent / "few"), "3 training images say little"),
    ],
)
def test_each_place_wants_its_kind(
    tmp_path: Path, prepared: Path, shipped: Path, request_of: Any, words: str
) -> None:
    write_images(tmp_path / "few", 3)
    with pytest.raises((ScoreError, DataError), match=words):
        scoring.score(request_of(write_images(tmp_path / "a"), prepared, shipped / "generate.onnx"))


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    few, many = write_images(tmp_path / "few", LEAST - 1), write_images(tmp_path / "many")
    with pytest.raises(ScoreError, match=rf"{LEAST - 1} samples say little of a distribution; {LEAST} are"):
        scores(many, few)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "bad is not a folder of images, or an .onnx generator"),
        (lambda path: path.mkdir(), "is empty; it should hold image files"),
        (lambda path: (write_images(path), (path / "notes.txt").write_text("hello")), r"notes\.txt gives no image"),
    ],
)
def test_folders_without_images_are_a_line(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "bad")
    with pytest.raises((ScoreError, DataError), match=words):
        scores(write_images(tmp_path / "good"), tmp_path / "bad")


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, out = write_images(tmp_path / "a"), write_images(tmp_path / "b"), tmp_path / "out.json"
    assert main(["score", str(a), str(b), "--json", str(out)]) == 0
    shown, written = capsys.readouterr().out, json.loads(out.read_text())
    assert "fd_corners ↓" in shown
    assert written["scores"]["fd_corners"]["better"] == "lower"
    assert written["protocol"]["n"] == COUNT


def test_a_mistake_is_a_line_before_any_image_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(write_images(tmp_path / "a")), str(tmp_path / "absent")]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"genfoundry: {tmp_path}/absent is not a folder of images")
    assert len(shown.err.splitlines()) == 1


def test_without_the_extra_it_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["score", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "genfoundry: score needs more than the base installation: pip install 'genfoundry[train]'\n"
    )


def test_its_protocol_is_the_repository_s() -> None:
    assert scoring.DEFAULTS.resolve() == Path("params.yaml").resolve()
    assert {f"lpips_{scoring.TRUNK}", *EXTRACTORS} <= set(load(scoring.DEFAULTS).weights)


@pytest.mark.parametrize("options", [["--extractor", name] for name in EXTRACTORS], ids=lambda options: options[1])
def test_every_extractor_has_its_option(tmp_path: Path, options: list[str]) -> None:
    assert main(["score", str(write_images(tmp_path / "a")), str(tmp_path / "a"), *options]) == 0


def test_a_second_score_looks_at_nothing_again(tmp_path: Path) -> None:
    scores(write_images(tmp_path / "a"), write_images(tmp_path / "b"))
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    scores(tmp_path / "a", tmp_path / "b")
    assert kept == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
