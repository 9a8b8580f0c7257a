from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from genfoundry.pictures import to_bytes
from genfoundry.tasks import Setting
from genfoundry.tasks.trajectory import COLUMNS, ROWS, TASK
from tests.unit.tasks.conftest import ship

MODEL = {"channels": [8], "patch": 2, "blocks": 1, "steps": 50, "schedule": "linear", "prediction": "x_0"}


def test_the_way_ends_with_what_the_shipped_file_gives(
    tmp_path: Path, shipped: Path, setting_of: Callable[[Path], Setting]
) -> None:
    setting = setting_of(ship(tmp_path / "loop", "diffusion", {**MODEL, "sampling_steps": 4}, 256))
    assert TASK.applies(setting)
    assert not TASK.applies(setting_of(shipped))
    images = TASK.find(setting).pictures["trajectory"].images.reshape(ROWS, min(4, COLUMNS), 1, 8, 8)
    assert np.array_equal(images[:, -1], to_bytes(setting.artifact.generate(ROWS, setting.seed)))
    assert not np.array_equal(images[:, 0], images[:, -1])
