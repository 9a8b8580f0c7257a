from __future__ import annotations

import numpy as np
import pytest

from genfoundry.metrics import Sampled
from genfoundry.metrics.modes import mode_count
from tests.unit import tiny


@pytest.mark.parametrize(
    ("counts", "share", "modes"),
    [
        ([25, 25, 25, 25], 0.5, 4),
        ([100, 0, 0, 0], 0.5, 1),
        ([100, 0, 0, 0], 0.0, 4),
        # A fair share is 250 of 1000: half of it is 125.
        ([500, 125, 124, 251], 0.5, 3),
    ],
)
def test_counts_classes_from_a_share_of_the_fair_share(counts: list[int], share: float, modes: int) -> None:
    labels, none = np.repeat(np.arange(4), counts), np.empty((0, 1))
    config = tiny.evaluation(mode_share=share)
    assert mode_count(Sampled(none, labels, none, labels, 4), config) == modes
