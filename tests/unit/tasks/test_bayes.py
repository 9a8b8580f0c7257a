from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from genfoundry.tasks import Setting, bayes
from genfoundry.tasks.bayes import TASK, by_class


@pytest.fixture
def setting(labelled: Path, setting_of: Callable[[Path], Setting]) -> Setting:
    return setting_of(labelled)


def test_only_a_bound_that_takes_a_class_makes_a_classifier(
    setting: Setting, shipped: Path, one_class: Path, setting_of: Callable[[Path], Setting]
) -> None:
    assert TASK.applies(setting)
    assert not any(TASK.applies(setting_of(folder)) for folder in (shipped, one_class))


def test_the_class_whose_bound_is_largest_is_found(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    true = np.asarray(setting.prepared.split("test").labels)

    def says(_: Setting, __: str, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.where(rows["label"] == 1 - true, -100.0, -101.0)  # by a nat, and always wrong

    monkeypatch.setattr(bayes, "log_prob", says)
    roles = TASK.find(setting).roles
    assert np.array_equal(roles["value"].found, 1 - true)
    assert np.array_equal(roles["judge"].found, true)
    assert np.array_equal(roles["baseline"].found, true)  # dark and bright are far apart


def test_the_commoner_class_wins_where_bounds_are_equal(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    train = setting.prepared.split("train")
    few = train.take(
        np.sort(np.concatenate([np.flatnonzero(train.labels == 0)[:9], np.flatnonzero(train.labels == 1)]))
    )
    test = setting.prepared.split("test")
    monkeypatch.setattr(type(setting.prepared), "split", lambda _, name: few if name == "train" else test)
    monkeypatch.setattr(bayes, "log_prob", lambda *_: np.zeros(len(test)))
    assert (TASK.find(setting).roles["value"].found == 1).all()


def test_the_shipped_bound_is_asked_for_each_class(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, shipped = [], bayes.log_prob

    def log_prob(setting: Setting, graph: str, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        asked.append((set(rows["label"]), shipped(setting, graph, rows)))
        return asked[-1][1]

    monkeypatch.setattr(bayes, "log_prob", log_prob)
    found = TASK.find(setting).roles["value"].found
    (zero, of_zero), (one, of_one) = asked
    assert (zero, one) == ({0}, {1})
    prior = np.bincount(setting.prepared.split("train").labels) / len(setting.prepared.split("train"))
    assert np.array_equal(found, of_one + np.log(prior[1]) > of_zero + np.log(prior[0]))


def test_shares_of_each_class_leave_out_what_was_not_asked() -> None:
    asked, found = np.array([0, 0, 2]), {"value": np.array([0, 1, 2]), "judge": np.array([0, 0, 0])}
    table = by_class(asked, found, ("a", "b", "c"))
    assert table.header == ("class", "value", "judge")
    assert table.rows == [["a", "0.5000", "1.0000"], ["c", "1.0000", "0.0000"]]
