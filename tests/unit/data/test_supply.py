from __future__ import annotations

import numpy as np
import pytest

from genfoundry.data import DataError
from genfoundry.data.batches import Split
from genfoundry.data.supply import binarize, labelled, learnt_from, of_classes, read_by, seen, supply, with_labels
from genfoundry.params import Data
from genfoundry.spec import DataSpec

SPEC = DataSpec((1, 4, 4), ("a", "b", "c"))
RNG = np.random.default_rng(0)
EVERY = range(3)  # class
SPLIT = Split({"image": RNG.integers(0, 256, (90, 1, 4, 4)).astype(np.uint8), "label": np.arange(90) % 3})


def batch(step: int = 0, **data: object) -> dict[str, np.ndarray]:
    return supply(SPLIT, SPEC, Data(dataset="x", **data), 8, seed=1).at(step)


def test_a_plain_run_sees_the_batches_as_they_are() -> None:
    assert set(batch()) == {"image", "label"}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"flip": True},
        {"patch": 2},
        {"binarize": True},
        {"labels": 30},
        {"degradations": {"noise": 0.1, "mask": 0.5}},
    ],
)
def test_a_batch_is_a_pure_function_of_its_step(data: dict[str, object]) -> None:
    for key, value in batch(3, **data).items():
        assert np.array_equal(value, batch(3, **data)[key])
    assert not np.array_equal(batch(3, **data)["image"], batch(4, **data)["image"])


def test_only_the_classes_asked_for_are_seen() -> None:
    found = of_classes(SPLIT, SPEC, ("c", "a"))
    assert sorted(set(found.labels)) == [0, 2]
    assert len(found) == 60


def test_labels_are_shared_out_equally_and_the_rest_lose_theirs() -> None:
    few = labelled(SPLIT, EVERY, 12, seed=0)
    assert np.bincount(few.labels).tolist() == [4, 4, 4]
    found = batch(labels=12)
    assert {key: len(value) for key, value in found.items()} == {"image": 8, "labelled": 8, "label": 8}
    chosen = {image.tobytes(): label for image, label in zip(SPLIT.images, SPLIT.labels, strict=True)}
    assert [chosen[image.tobytes()] for image in found["labelled"]] == found["label"].tolist()


def test_a_run_without_the_unlabelled_sees_the_labelled_alone() -> None:
    data, few = Data(dataset="x", labels=12, unlabelled=False), labelled(SPLIT, EVERY, 12, seed=1)
    known = {image.tobytes(): label for image, label in zip(few.images, few.labels, strict=True)}
    found = [batch(step, labels=12, unlabelled=False) for step in range(10)]
    assert {tuple(sorted(one)) for one in found} == {("image", "label")}
    seen = {
        image.tobytes(): label for one in found for image, label in zip(one["image"], one["label"], strict=True)
    }
    assert seen == known
    assert np.array_equal(learnt_from(SPLIT, SPEC, data, 1).labels, few.labels)


@pytest.mark.parametrize(
    ("data", "seen", "with_label"),
    [({}, 90, 90), ({"classes": ("a", "b")}, 60, 60), ({"labels": 12}, 90, 12)],
)
def test_what_a_run_learns_from_and_what_of_it_has_labels(
    data: dict[str, object], seen: int, with_label: int
) -> None:
    run = Data(dataset="x", **data)
    assert len(learnt_from(SPLIT, SPEC, run, 0)) == seen
    assert len(with_labels(SPLIT, SPEC, run, 0)) == with_label


@pytest.mark.parametrize("count", [10, 93])
def test_labels_that_cannot_be_shared_out_are_an_error(count: int) -> None:
    with pytest.raises(DataError, match=f"data.labels: {count}"):
        labelled(SPLIT, EVERY, count, seed=0)


def test_half_of_the_rows_are_mirrored_in_all_their_images_alike() -> None:
    arrays = {"source": SPLIT.images, "target": 255 - SPLIT.images, "label": SPLIT.labels}
    plain, found = (supply(Split(arrays), SPEC, Data(dataset="x", flip=flip), 64, seed=1) for flip in (False, True))
    mirrored = 0
    for step in range(10):
        before, after = plain.at(step), found.at(step)
        assert np.array_equal(after["label"], before["label"])
        assert np.array_equal(after["target"], 255 - after["source"])
        turned = (after["source"] == before["source"][..., ::-1]).all(axis=(1, 2, 3))
        assert np.array_equal(after["source"][~turned], before["source"][~turned])
        mirrored += int(turned.sum())
    assert 0.45 < mirrored / 640 < 0.55


def test_labelled_images_are_binarized_with_the_others() -> None:
    found = batch(labels=12, binarize=True)
    assert {key: set(np.unique(found[key])) for key in ("image", "labelled")} == {
        "image": {0, 255},
        "labelled": {0, 255},
    }


def test_labels_of_some_classes_are_shared_out_among_those() -> None:
    few = with_labels(SPLIT, SPEC, Data(dataset="x", classes=("a", "c"), labels=12), 0)
    assert np.bincount(few.labels).tolist() == [6, 0, 6]


def test_binarized_pixels_are_white_as_often_as_they_were_bright() -> None:
    images = np.broadcast_to(np.array([0, 51, 255], np.uint8), (20000, 3))
    drawn = binarize(images, np.random.default_rng(0))
    assert set(np.unique(drawn)) == {0, 255}
    assert (drawn / 255).mean(axis=0) == pytest.approx([0.0, 0.2, 1.0], abs=0.01)


def test_degradations_take_turns() -> None:
    data = {"degradations": {"noise": 0.1, "mask": 0.5}}
    assert [batch(step, **data)["mask"].min() for step in range(4)] == [1.0, 0.0, 1.0, 0.0]


def test_a_patch_is_a_square_of_its_image_and_its_place_changes() -> None:
    whole, found = (batch(step=2, **data)["image"] for data in ({}, {"patch": 2}))
    assert found.shape == (8, 1, 2, 2)
    places = set()
    for image, patch in zip(whole, found, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image[0], (2, 2))
        places |= {tuple(place) for place in np.argwhere((windows == patch[0]).all(axis=(2, 3)))}
    assert len(places) > 3
    assert places <= {(y, x) for y in range(3) for x in range(3)}


def test_what_belongs_together_is_cut_at_one_place() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4).repeat(8, axis=0)
    pairs = Split({"source": image, "target": image + np.uint8(100)})
    found = supply(pairs, SPEC, Data(dataset="x", patch=3), 8, seed=1).at(0)
    assert np.array_equal(found["target"], found["source"] + 100)
    assert len({int(patch[0, 0, 0]) for patch in found["source"]}) > 1


def test_a_patch_is_degraded_to_its_own_size() -> None:
    found = batch(patch=4, degradations={"scale": 2})
    assert (found["image"].shape, found["degraded"].shape) == ((8, 1, 4, 4), (8, 1, 2, 2))


def test_a_model_knows_the_scale_and_the_levels_of_its_data() -> None:
    assert seen(SPEC, Data(dataset="x")) == SPEC
    assert seen(SPEC, Data(dataset="x", degradations={"scale": 4})).scale == 4
    assert seen(SPEC, Data(dataset="x", binarize=True)).levels == 2


@pytest.mark.parametrize(
    ("needs", "found"),
    [({"image"}, {"image", "label"}), ({"image", "mask"}, {"image", "label", "degraded", "mask"})],
)
def test_what_no_loss_reads_is_not_made(needs: set[str], found: set[str]) -> None:
    data = Data(dataset="dots", degradations={"mask": 0.5})
    assert set(supply(SPLIT, SPEC, read_by(data, frozenset(needs)), 4, 0).at(0)) == found
