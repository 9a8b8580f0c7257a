from __future__ import annotations

import numpy as np

from genfoundry.tasks.features import probed

RNG = np.random.default_rng(0)
LABELS = np.arange(300) % 3


def test_a_probe_reads_a_class_that_lies_linearly_whatever_its_scale() -> None:
    codes = np.eye(3)[LABELS] * np.array([1e-3, 1.0, 1e3]) + 1e-5 * RNG.standard_normal((300, 3))
    assert np.array_equal(probed(codes[:150], LABELS[:150], codes[150:]), LABELS[150:])


def test_a_probe_finds_nothing_in_noise() -> None:
    codes = RNG.standard_normal((300, 3))
    found = probed(codes[:150], LABELS[:150], codes[150:])
    assert (found == LABELS[150:]).mean() < 0.6
