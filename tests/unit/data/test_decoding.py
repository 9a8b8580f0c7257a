from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.data import DataError
from genfoundry.data.decoding import NAMED, WINDOW, decode, parallel, tell
from genfoundry.data.images import read_image
from genfoundry.data.trees import leaves
from genfoundry.params import Dataset, validate
from tests.unit import tiny
from tests.unit.data.made import picture, write_pictures

DATASET = validate(
    Dataset,
    {
        "sources": [{"kind": "folder", "path": "x"}],
        "sha256": {},
        "shape": [3, 8, 8],
        "licence": "mine",
        "judge": tiny.EFFNET,
    },
)


def test_rows_follow_the_files_and_unreadable_ones_have_a_reason(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_pictures(raw, [f"all/a/{n:02}.png" for n in range(40)])
    (raw / "all/a/07.png").write_bytes(b"")
    (raw / "all/a/31.png").write_bytes(b"nothing")
    picture(3, (6, 20)).save(raw / "all/a/11.png")
    found = decode("dots", raw, leaves(raw), DATASET, tmp_path)
    assert found.pixels.shape == (40, 3, 8, 8)
    assert found.quarantined == {"all/a/07.png": "empty", "all/a/31.png": "not an image in a known format"}
    assert [row for row, key in enumerate(found.keys) if key is None] == [7, 31]
    assert [row for row, _, _ in found.good()] == [n for n in range(40) if n not in (7, 31)]
    assert found.enlarged == 1
    for row, file, key in found.good():
        alone = read_image(raw / str(file), DATASET.shape, "resize")
        assert np.array_equal(found.pixels[row], alone.pixels)
        assert key == alone.key
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_no_image_at_all_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "raw/all/x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw/all/x" / name).write_bytes(b"text")
    with pytest.raises(DataError, match="dots: none of 2 files is an image; all/x/a: not an image in"):
        decode("dots", tmp_path / "raw", leaves(tmp_path / "raw"), DATASET, tmp_path)


def test_pillow_s_own_limit_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write_pictures(tmp_path / "raw", ["all/x/a.png"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode("dots", tmp_path / "raw", leaves(tmp_path / "raw"), DATASET, tmp_path)
    assert found.quarantined == {}


def test_an_interruption_ends_the_work() -> None:
    started = []

    def work(number: int) -> None:
        started.append(number)
        if number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel(work, 10 * WINDOW, "title")
    assert len(started) <= WINDOW


def test_results_come_in_order_over_all_windows() -> None:
    assert parallel(lambda number: -number, 2 * WINDOW + 5, "title") == [-n for n in range(2 * WINDOW + 5)]


def test_the_terminal_names_what_was_put_aside(capsys: pytest.CaptureFixture[str]) -> None:
    tell("dots", {})
    assert capsys.readouterr().out == ""
    tell("dots", {"a.png": "empty", "b.png": "truncated"})
    assert capsys.readouterr().out.splitlines() == [
        "dots: 2 files give no image and are left out:",
        "  a.png: empty",
        "  b.png: truncated",
    ]
    tell("dots", {f"{n}.png": "empty" for n in range(NAMED + 3)})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == NAMED + 2
    assert lines[-1] == "  … and 3 more, which dataset.json lists"
