from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.data.batches import Batches, Prepared, Split
from tests.unit import tiny

COUNT, SIZE = 23, 5
PER_EPOCH = COUNT // SIZE


@pytest.fixture
def split() -> Split:
    """Every image holds its own number, its label too."""
    numbers = np.arange(COUNT)
    return Split(np.broadcast_to(numbers[:, None, None, None], (COUNT, 1, 2, 2)).astype(np.uint8), numbers)


def rows(batches: Batches, steps: range) -> np.ndarray:
    return np.stack([batches.at(step)["label"] for step in steps])


def test_image_and_label_stay_together(split: Split) -> None:
    batch = Batches(split, SIZE, 0).at(11)
    assert batch["image"].shape == (SIZE, 1, 2, 2)
    assert np.array_equal(batch["image"][:, 0, 0, 0], batch["label"])


def test_order_is_a_pure_function_of_seed_and_step(split: Split) -> None:
    steps = range(3 * PER_EPOCH)
    forward = rows(Batches(split, SIZE, 4), steps)
    jumping = Batches(split, SIZE, 4)
    backward = np.stack([jumping.at(step)["label"] for step in reversed(steps)])[::-1]
    assert np.array_equal(forward, backward)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_holds_no_image_twice(split: Split, epoch: int) -> None:
    seen = rows(Batches(split, SIZE, 0), range(epoch * PER_EPOCH, (epoch + 1) * PER_EPOCH)).ravel()
    assert len(set(seen)) == PER_EPOCH * SIZE


def test_an_epoch_is_a_permutation_where_the_batch_divides_it(split: Split) -> None:
    whole = Split(split.images[:20], split.labels[:20])
    assert sorted(rows(Batches(whole, SIZE, 0), range(4, 8)).ravel()) == list(range(20))


def test_epochs_and_seeds_differ(split: Split) -> None:
    first, second = (rows(Batches(split, SIZE, 0), range(e * PER_EPOCH, (e + 1) * PER_EPOCH)) for e in (0, 1))
    other = rows(Batches(split, SIZE, 1), range(PER_EPOCH))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_fewer_images_than_a_batch_is_an_error(split: Split) -> None:
    with pytest.raises(ValueError, match="batch_size 24 is more than the 23 images"):
        Batches(split, COUNT + 1, 0)
    assert len(Batches(split, COUNT, 0).at(7)["label"]) == COUNT


def test_prepared_folder_is_mapped_not_read(prepared: Path) -> None:
    data = Prepared(prepared)
    assert data.spec == tiny.DATA
    assert isinstance(data.split("train").images, np.memmap)
    batch = Batches(data.split("train"), 4, 0).at(0)
    assert not isinstance(batch["image"], np.memmap) or batch["image"].base is None
