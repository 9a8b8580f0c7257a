from __future__ import annotations

from pathlib import Path

import pytest

from genfoundry.data.batches import Prepared
from genfoundry.export.stage import learnt
from genfoundry.params import Data


@pytest.mark.parametrize("unlabelled", [True, False])
@pytest.mark.parametrize(("count", "expected"), [(4, 4), (1000, 6)])
def test_a_run_with_few_labels_is_calibrated_on_as_many_images(
    prepared: Path, unlabelled: bool, count: int, expected: int
) -> None:
    data = Data(dataset="dots", labels=6, unlabelled=unlabelled)
    batch = learnt(Prepared(prepared), data, count, seed=0)
    assert {len(array) for array in batch.values()} == {expected}
