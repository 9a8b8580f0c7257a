from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import norm

from genfoundry.tasks import Setting
from genfoundry.tasks.projection import SIDE, TASK, nearest, places
from tests.unit import tiny
from tests.unit.tasks.conftest import ship

RNG = np.random.default_rng(0)


def test_places_under_a_normal_prior_are_equally_likely_steps_apart() -> None:
    found = places(RNG.standard_normal((10, 2)), normal=True).reshape(SIDE, SIDE, 2)
    steps = np.diff(norm.cdf(found[0, :, 0]))
    np.testing.assert_allclose(steps, 1 / SIDE, atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 1], found[0, ::-1, 0])  # y falls from the top


def test_places_without_a_prior_have_equal_shares_of_the_codes_between_them() -> None:
    codes = np.vstack([RNG.exponential([1.0, 50.0], (5000, 2)), [[99.0, -99.0]]])
    found = places(codes, normal=False).reshape(SIDE, SIDE, 2)
    across, up = found[0, :, 0], found[::-1, 0, 1]
    for place, column in ((across, codes[:, 0]), (up, codes[:, 1])):
        counts = np.histogram(column, place)[0]
        np.testing.assert_allclose(counts, len(codes) / SIDE, atol=2)


def test_neighbours_know_curved_classes_apart() -> None:
    angle = RNG.uniform(0, 2 * np.pi, 600)
    labels = np.arange(600) % 2
    codes = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + labels)[:, None]
    assert np.array_equal(nearest(codes[:400], labels[:400], codes[400:]), labels[400:])


def test_only_a_plane_is_drawn_as_one(shipped: Path, tmp_path: Path, setting_of: Callable[[Path], Setting]) -> None:
    plane = setting_of(ship(tmp_path / "plane", "vae", {**tiny.VAE, "latent_dim": 2}, 256))
    assert TASK.applies(plane)
    assert not TASK.applies(setting_of(shipped))
    found = TASK.find(plane)
    assert set(found.roles) == {"value", "baseline"}
    assert found.pictures["map"].images.shape[:2] == (1, 3)
    assert found.pictures["map_decoded"].images.shape == (SIDE**2, 1, 8, 8)
