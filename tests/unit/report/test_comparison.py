from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genfoundry.files import read_json, write_json
from genfoundry.report.comparison import contests, named, side_by_side, unrest
from tests.unit.report.test_leaderboard import evaluated


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def history(path: Path, **terms: list[float]) -> Path:
    rows = [
        f"{step},{term.replace('__', '/')},{v}" for term, values in terms.items() for step, v in enumerate(values)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["step,term,value", *rows, ""]))
    return path


def test_unrest_is_of_the_quantity_that_moves_most_at_the_end() -> None:
    settled, moving = [8.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0]
    found = unrest(history(Path("h.csv"), a__loss=settled, b__loss=moving, a__grad_norm=[0.0] * 7 + [1e9]))
    assert found == ("b/loss", 0.5)
    assert unrest(history(Path("h.csv"), a__loss=settled)) == ("a/loss", 0.0)
    assert unrest(history(Path("h.csv"), a__loss=[1.0])) == ("", 0.0)


def test_runs_stand_side_by_side_where_several_make_images_of_the_same_data() -> None:
    rows = [row for name in ("a", "b") for row in evaluated(Path(), name, fid=3.0)]
    alone = [replace(row, dataset="stars") for row in evaluated(Path(), "c", fid=3.0)]
    for name in "abc":
        history(Path(f"history/{name}.csv"), net__loss=[2.0, 1.0])
    Path("plots/a/appearance.csv").write_text("quantity,samples,real\nsharpness,0.1,0.2\n")
    pictures = {"a": {"generate": "data:1", "anomaly": "data:2"}, "b": {}, "c": {}}
    found = side_by_side([*rows, *alone], pictures)
    assert list(found) == ["dots"]
    first, second = found["dots"]
    assert (first.run, second.run) == ("a", "b")
    assert first.scores == {"fid": 3.0, "modes": 1.0}
    assert (first.appearance, second.appearance) == ({"sharpness": (0.1, 0.2)}, {})
    assert named(found["dots"], "appearance") == ["sharpness"]
    assert named([replace(first, scores={"b": 1.0}), replace(second, scores={"a": 1.0, "b": 2.0})], "scores") == [
        "b",
        "a",
    ]
    assert first.pictures == {"generate": "data:1"}
    assert first.unrest[0] == "net/loss"


def test_a_contest_is_a_score_of_which_the_judge_has_one_too() -> None:
    rows = evaluated(Path(), "a", fid=3.0)
    assert contests(rows) == []
    scores = read_json(Path("metrics/a.json"))
    write_json(Path("metrics/a.json"), {**scores, "modes": {**scores["modes"], "judge": 2.0}})
    Path("plots/a/generate.csv").write_text("class,value,judge\nzero,0.5,1.0\n")
    (found,) = contests(rows)
    assert (found.run, found.dataset, found.metric, found.roles["judge"]) == ("a", "dots", "modes", 2.0)
    assert found.classes == [{"class": "zero", "value": "0.5", "judge": "1.0"}]
