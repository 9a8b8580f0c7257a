from __future__ import annotations

from pathlib import Path

import numpy as np

from genfoundry.training.snapshots import Snapshots, read_snapshots

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 1, 8, 8)).astype(np.uint8)


def test_snapshots_are_read_in_the_order_of_their_steps_whenever_they_were_kept(tmp_path: Path) -> None:
    for step, images in ((1000, IMAGES[2]), (20, IMAGES[0]), (300, IMAGES[0]), (300, IMAGES[1])):
        Snapshots(tmp_path / "folder").keep("generate", step, images)
    Snapshots(tmp_path / "folder").collect(tmp_path / "one.npz")
    found = read_snapshots(tmp_path / "one.npz")
    assert list(found) == ["generate"]
    assert list(found["generate"]) == [20, 300, 1000]
    assert all(np.array_equal(*pair) for pair in zip(found["generate"].values(), IMAGES, strict=True))


def test_the_same_snapshots_are_the_same_bytes(tmp_path: Path) -> None:
    for name, steps in (("a", (10, 9)), ("b", (9, 10))):
        for step in steps:
            Snapshots(tmp_path / name).keep("generate", step, IMAGES[0])
        Snapshots(tmp_path / name).collect(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_run_without_samples_has_a_file_without_images(tmp_path: Path) -> None:
    Snapshots(tmp_path / "none").collect(tmp_path / "none.npz")
    assert read_snapshots(tmp_path / "none.npz") == {}
