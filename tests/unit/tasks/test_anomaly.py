from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genfoundry.pictures import from_bytes
from genfoundry.tasks import Setting
from genfoundry.tasks.anomaly import TASKS, bound, error
from genfoundry.tasks.likelihood import TASKS as LIKELIHOODS
from genfoundry.tasks.restore import held_out


def test_what_has_seen_all_classes_knows_no_anomaly(
    shipped: Path, one_class: Path, setting_of: Callable[[Path], Setting]
) -> None:
    assert [task.applies(setting_of(one_class)) for task in TASKS] == [True, True]
    assert [task.applies(setting_of(shipped)) for task in TASKS] == [False, False]


def test_a_bound_on_some_classes_is_no_score_of_them_all(
    one_class: Path, setting_of: Callable[[Path], Setting]
) -> None:
    assert not any(task.applies(setting_of(one_class)) for task in LIKELIHOODS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_images_of_other_classes_are_the_anomalies(
    task, one_class: Path, setting_of: Callable[[Path], Setting]
) -> None:
    setting = setting_of(one_class)
    found = task.find(setting)
    for role in found.roles.values():
        assert np.array_equal(role.anomalous, setting.prepared.split("test").labels == 1)
    assert len(found.pictures[task.name].images) == 2 * setting.config.pictures


def test_surprise_is_the_error_or_the_negative_bound(
    one_class: Path, setting_of: Callable[[Path], Setting]
) -> None:
    setting = setting_of(one_class)
    images = held_out(setting, 6)
    assert error(setting, images, from_bytes(255 - images)) == pytest.approx(np.ones(6))
    graph, rng = setting.artifact.graph("elbo"), np.random.default_rng(setting.seed)
    drawn = {name: spec.draw(rng, batch=6) for name, spec in graph.inputs.items()}
    expected = graph.run({**drawn, "image": from_bytes(images)})
    np.testing.assert_allclose(bound(setting, images, images), -expected, rtol=1e-5)
