from __future__ import annotations

import pytest

from genfoundry.metrics.modes import mode_count
from tests.unit import tiny
from tests.unit.metrics.made import of_classes


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
    found = mode_count(of_classes(counts, counts), tiny.evaluation(mode_share=share))
    assert found.value == modes


def test_a_count_is_as_sure_as_its_classes_are_from_the_limit() -> None:
    config = tiny.evaluation(mode_share=0.4)
    assert mode_count(of_classes([500, 500], [1, 1]), config).stderr == 0.0
    borderline = mode_count(of_classes([800, 200], [1, 1]), config).stderr  # the limit itself: half of the draws
    assert borderline == pytest.approx(0.5, abs=0.05)
