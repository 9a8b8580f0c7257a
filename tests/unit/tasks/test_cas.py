from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from genfoundry.judge.reference import Reference
from genfoundry.metrics.gain import ACCURACY
from genfoundry.tasks import Setting, cas
from tests.unit import tiny
from tests.unit.tasks.test_augment import LESSONS, setting

CONFIG = tiny.evaluation(augmentation=LESSONS)


def of_all_labels(prepared: Path, lies: bool = False, **data: Any) -> Setting:
    found = setting(prepared, lies)
    found.artifact.about["data"] = {"dataset": "dots", **data}
    return replace(found, reference=cast(Reference, SimpleNamespace(knows_classes=True)))


def test_a_classifier_learns_from_samples_what_is_right_about_them(prepared: Path) -> None:
    honest, lying = (cas.find(of_all_labels(prepared, lies)).roles for lies in (False, True))
    scores = {role: ACCURACY.compute(trials, CONFIG).value for role, trials in honest.items()}
    assert scores["value"] > 0.9
    assert scores["floor"] > 0.9
    assert ACCURACY.compute(lying["value"], CONFIG).value < 0.1
    assert ACCURACY.compute(lying["floor"], CONFIG) == ACCURACY.compute(honest["floor"], CONFIG)


@pytest.mark.parametrize(
    ("data", "asked"), [({}, True), ({"labels": 8}, False), ({"classes": ["zero"]}, False)], ids=str
)
def test_is_for_generators_that_saw_every_label(prepared: Path, data: dict[str, Any], asked: bool) -> None:
    assert cas.from_all_labels(of_all_labels(prepared, **data)) == asked
