from __future__ import annotations

from pathlib import Path

import numpy as np

from genfoundry.tasks.control import of_each_class
from tests.unit.tasks.test_augment import setting


def test_classes_take_turns_and_share_their_noise_where_they_should(prepared: Path) -> None:
    images, asked = of_each_class(setting(prepared), turns=6)
    grey = images[:, 0, 0, 0].astype(int)
    assert asked.tolist() == [0, 1] * 6
    assert np.array_equal(grey > 127, asked == 1)
    assert len(set(grey)) == 12
    alike, _ = of_each_class(setting(prepared), turns=6, alike=True)
    dark, bright = alike[:, 0, 0, 0].astype(int).reshape(6, 2).T
    assert np.abs(bright - dark - 0.6 * 255).max() <= 1
    assert len(set(dark)) == 6
