from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics import Sampled, Seen
from genfoundry.metrics.copies import METRIC, copies
from tests.unit import tiny
from tests.unit.metrics.made import gaussian, sampled

RNG = np.random.default_rng(0)
TRAIN, TEST = gaussian(RNG, 2000), gaussian(RNG, 800)


def share(samples: np.ndarray) -> float:
    return copies(Sampled(Seen(samples), Seen(TEST), Seen(TRAIN)), tiny.evaluation()).value


def test_a_copied_training_set_is_caught() -> None:
    assert share(TRAIN[:500]) == 1.0
    assert share(TRAIN[:500] + np.float32(1e-3)) == 1.0


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_a_part_that_is_copied_is_told_from_the_rest_however_bad_that_is(part: float) -> None:
    count = int(500 * part)
    for rest in (gaussian(RNG, 500 - count), gaussian(RNG, 500 - count, shift=3.0)):
        assert share(np.concatenate([TRAIN[:count], rest])) == pytest.approx(part, abs=0.05)


def test_new_images_of_the_same_kind_copy_nothing() -> None:
    found = copies(Sampled(Seen(gaussian(RNG, 800)), Seen(TEST), Seen(TRAIN)), tiny.evaluation())
    assert found.stderr is not None
    assert found.value < 3 * found.stderr
    assert share(TEST) == pytest.approx(0.0, abs=1e-3)


def test_bad_images_copy_nothing_either() -> None:
    assert share(gaussian(RNG, 500, shift=5.0)) == 0.0


def test_asks_for_the_training_images_and_never_ranks() -> None:
    evidence = sampled(TRAIN, TEST)
    assert not METRIC.fits(evidence)
    assert not METRIC.leads(evidence)
    with pytest.raises(ValueError, match="no training images"):
        copies(evidence, tiny.evaluation())
