from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genfoundry.data.batches import Batches, Prepared, Split
from tests.unit import tiny

COUNT, SIZE = 23, 5
PER_EPOCH = COUNT // SIZE
ORDER_OF_SEED_7 = [7, 17, 19, 20, 4]  # at step 9


@pytest.fixture
def split() -> Split:
    """Every image holds its own number, its label too."""
    numbers = np.arange(COUNT)
    return Split({"image": pictures(numbers), "label": numbers})


def pictures(numbers: np.ndarray) -> np.ndarray:
    return np.broadcast_to(numbers[:, None, None, None], (len(numbers), 1, 2, 2)).astype(np.uint8)


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
    whole = Split({key: array[:20] for key, array in split.arrays.items()})
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


def test_the_order_of_runs_that_exist_does_not_move(split: Split) -> None:
    assert Batches(split, SIZE, 7).at(9)["label"].tolist() == ORDER_OF_SEED_7
    rng = np.random.default_rng([7, 2])
    assert rng.permutation(COUNT)[SIZE : 2 * SIZE].tolist() == ORDER_OF_SEED_7


def test_pairs_share_their_rows() -> None:
    numbers = np.arange(COUNT)
    pairs = Split({"source": pictures(numbers), "target": pictures(100 + numbers)})
    for step in range(3 * PER_EPOCH):
        batch = Batches(pairs, SIZE, 0).at(step)
        assert np.array_equal(batch["source"] + 100, batch["target"])


@pytest.fixture
def domains() -> Split:
    """23 images of one kind and 11 of the other."""
    arrays = {"a": pictures(np.arange(COUNT)), "b": pictures(np.arange(11))}
    return Split(arrays, aligned=False)


def numbers_of(batches: Batches, key: str, steps: range) -> tuple[int, ...]:
    return tuple(number for step in steps for number in batches.at(step)[key][:, 0, 0, 0].tolist())


@pytest.mark.parametrize(("key", "count"), [("a", COUNT), ("b", 11)])
def test_each_domain_has_its_own_epochs(domains: Split, key: str, count: int) -> None:
    batches, per_epoch = Batches(domains, SIZE, 0), count // SIZE
    orders = set()
    for epoch in range(4):
        seen = numbers_of(batches, key, range(epoch * per_epoch, (epoch + 1) * per_epoch))
        assert len({*seen}) == per_epoch * SIZE
        orders.add(seen)
    assert len(orders) == 4


def test_domains_are_drawn_independently_of_each_other() -> None:
    numbers = np.arange(20)
    same = Split({"a": pictures(numbers), "b": pictures(numbers)}, aligned=False)
    batches = Batches(same, SIZE, 0)
    assert numbers_of(batches, "a", range(4)) != numbers_of(batches, "b", range(4))


def test_domains_follow_from_seed_and_step(domains: Split) -> None:
    forward = [Batches(domains, SIZE, 3).at(step) for step in range(12)]
    jumping = Batches(domains, SIZE, 3)
    for step in (11, 0, 5, 5, 2, 9):
        batch = jumping.at(step)
        assert all(np.array_equal(batch[key], forward[step][key]) for key in "ab")


def test_the_smaller_domain_limits_the_batch(domains: Split) -> None:
    assert len(domains) == 11
    assert {len(array) for array in Batches(domains, 11, 0).at(40).values()} == {11}
    with pytest.raises(ValueError, match="batch_size 12 is more than the 11 images"):
        Batches(domains, 12, 0)


def test_an_image_that_is_not_there_names_those_that_are(domains: Split) -> None:
    with pytest.raises(ValueError, match="these data have no image, but a and b"):
        _ = domains.images
