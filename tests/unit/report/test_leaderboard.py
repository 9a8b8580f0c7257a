from __future__ import annotations

import csv
import io
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from genfoundry.files import read_json, sha256, write_json
from genfoundry.params import Run, validate
from genfoundry.report.leaderboard import (
    Row,
    boards,
    boards_text,
    rows_of,
    title,
    to_csv,
    to_markdown,
    to_text,
    verdict,
)
from tests.unit import tiny

RUN = validate(Run, tiny.params_tree()["runs"]["tiny"])
METRICS = {"fid": ("lower", True), "modes": ("higher", False)}


def evaluated(root: Path, name: str, fid: float, modes: float = 1.0, baseline: float = 10.0) -> list[Row]:
    """The files of an evaluated run, and their rows."""
    (root / "onnx" / name).mkdir(parents=True, exist_ok=True)
    (root / "onnx" / name / "generate.onnx").write_bytes(name.encode())
    (root / "history").mkdir(exist_ok=True)
    (root / "history" / f"{name}.csv").touch()
    write_json(root / "plots" / name / "pictures.json", [])
    values = {"fid": fid, "modes": modes}
    roles = {
        m: {"value": v, "baseline": baseline} | ({"floor": 1.0} if m == "fid" else {}) for m, v in values.items()
    }
    words = {
        metric: {
            "better": better,
            "task": "generate",
            "graph": "generate",
            "file_sha256": sha256(name.encode()),
            "leads": leads,
            "baseline": "PCA",
            "n": 100,
            "extractor": "judge",
        }
        for metric, (better, leads) in METRICS.items()
    }
    write_json(root / "metrics" / f"{name}.json", roles)
    write_json(root / "metrics" / f"{name}.protocol.json", words)
    return rows_of(name, RUN, root)


@pytest.mark.parametrize("absent", ["history/one.csv", "plots/one/pictures.json"])
def test_scores_alone_are_no_rows(tmp_path: Path, absent: str) -> None:
    """A later training failed, and DVC removed the history; or a rival was only exported."""
    assert evaluated(tmp_path, "one", 3.0)
    (tmp_path / absent).unlink()
    assert rows_of("one", RUN, tmp_path) == []


@pytest.mark.parametrize(
    ("value", "baseline", "better", "expected"),
    [
        (1, 2, "lower", "beats"),
        (2, 1, "lower", "misses"),
        (2, 1, "higher", "beats"),
        (1, 2, "higher", "misses"),
        (1, 1, "lower", "ties"),
        (1, 1, "higher", "ties"),
        (math.inf, 1, "lower", "misses"),
        (math.nan, 1, "lower", "misses"),
        pytest.param(
            math.nan,
            1,
            "higher",
            "misses",
        ),
    ],
)
def test_verdicts(value: float, baseline: float, better: str, expected: str) -> None:
    assert verdict(value, baseline, better) == expected


@pytest.mark.parametrize(("stderr", "expected"), [(0.49, "beats"), (0.51, "ties"), (math.inf, "ties")])
def test_within_two_errors_is_a_tie(stderr: float, expected: str) -> None:
    assert verdict(1.0, 2.0, "lower", stderr) == expected


def test_rows_hold_what_the_files_say(tmp_path: Path) -> None:
    fid, modes = evaluated(tmp_path, "one", fid=3.0)
    assert (fid.dataset, fid.graph, fid.family, fid.metric) == ("dots", "generate", "vae", "fid")
    assert (fid.value, fid.baseline, fid.floor, fid.verdict) == (3.0, 10.0, 1.0, "beats")
    assert (modes.floor, modes.verdict, modes.n, modes.extractor) == (None, "misses", 100, "judge")


def test_scores_of_other_files_or_of_none_are_no_rows(tmp_path: Path) -> None:
    assert rows_of("absent", RUN, tmp_path) == []
    evaluated(tmp_path, "one", fid=3.0)
    (tmp_path / "onnx/one/generate.onnx").write_bytes(b"exported again")
    assert rows_of("one", RUN, tmp_path) == []


@pytest.mark.parametrize("lead", ["lower", "higher"])
def test_a_board_ranks_by_its_leading_metric_and_ties_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lead: str
) -> None:
    monkeypatch.setitem(METRICS, "fid", (lead, True))
    rows = [
        row
        for name, fid, modes in (("a", 5, 9), ("b", 2, 1), ("c", 5, 3), ("d", 8, 2))
        for row in evaluated(tmp_path, name, fid, modes)
    ]
    (board,) = boards(rows)
    order = [name for name, _ in board.lines]
    assert order == (["b", "a", "c", "d"] if lead == "lower" else ["d", "a", "c", "b"])
    assert board.metrics[0] == "fid"
    best = {row.metric: run for run, line in board.lines for row in line.values() if board.is_best(row)}
    assert best == {"fid": "b" if lead == "lower" else "d", "modes": "a"}
    assert [board.better(metric) for metric in board.metrics] == [lead, "higher"]
    assert board.ranks == (
        {"b": 1, "a": 2, "c": 2, "d": 4} if lead == "lower" else {"d": 1, "a": 2, "c": 2, "b": 4}
    )


def with_error(rows: list[Row], stderr: float) -> list[Row]:
    return [replace(row, stderr=stderr) for row in rows]


def test_runs_within_the_error_share_a_rank_and_are_all_best(tmp_path: Path) -> None:
    scores = {"a": (2.0, 0.3), "b": (2.5, 0.3), "c": (4.0, 0.1), "d": (4.01, 0.1), "e": (9.0, 0.1)}
    rows = [row for run, (fid, error) in scores.items() for row in with_error(evaluated(tmp_path, run, fid), error)]
    (board,) = boards(rows)
    assert board.ranks == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}
    assert [run for run, line in board.lines if board.is_best(line["fid"])] == ["a", "b"]
    assert to_markdown([board]).splitlines()[4].startswith("| 1 | a | ✓ 2 ± 0.3 ")


def test_an_unsure_leader_does_not_make_the_worse_one_best(tmp_path: Path) -> None:
    scores = {"a": (1.0, 5.0), "b": (2.0, 0.1), "c": (3.0, 0.1)}
    rows = [row for run, (fid, error) in scores.items() for row in with_error(evaluated(tmp_path, run, fid), error)]
    (board,) = boards(rows)
    assert [run for run, line in board.lines if board.is_best(line["fid"])] == ["a", "b"]


def test_a_verdict_is_by_the_error_of_the_difference(tmp_path: Path) -> None:
    evaluated(tmp_path, "one", fid=3.0, baseline=4.0)
    written = read_json(tmp_path / "metrics/one.json")
    for errors, expected in (({"stderr": 0.6}, "beats"), ({"difference_stderr": 0.6}, "ties")):
        write_json(tmp_path / "metrics/one.json", {**written, "fid": {**written["fid"], **errors}})
        assert rows_of("one", RUN, tmp_path)[0].verdict == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 50}, "n 100 there, 50 here"),
        ({"n_real": 7}, "real images none there, 7 here"),
        ({"extractor_sha256": "ab"}, "extractor's SHA-256 none there, ab here"),
        ({"resize": "bicubic"}, "resizing none there, bicubic here"),
        ({"conditions": "noise 0.5"}, "conditions none there, noise 0.5 here"),
        ({"n": 50, "resize": "bicubic"}, "n 100 there, 50 here; resizing none there, bicubic here"),
    ],
)
def test_other_protocols_are_not_ranked_and_a_line_says_what_differs(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    rows = evaluated(tmp_path, "a", 1) + evaluated(tmp_path, "b", 2)
    others = [replace(row, **change) for row in evaluated(tmp_path, "c", 3)]
    found = boards([*rows, *others])
    own = next(board for board in found if "c" in board.ranks)
    assert sorted(len(board.lines) for board in found) == [1, 2]
    assert own.apart == (f"not ranked with a, b: {words}",)
    assert f"\nnot ranked with a, b: {words}" in to_text(found)
    assert f"\n\nnot ranked with a, b: {words}" in to_markdown(found)


def test_what_another_network_sees_has_a_board_of_its_own_below_and_needs_no_excuse(tmp_path: Path) -> None:
    own = evaluated(tmp_path, "a", 1)
    seen = [replace(row, metric=f"{row.metric}_inception", extractor="inception", leads=False) for row in own]
    first, second = boards([*own, *(replace(row, extractor_sha256="ab", n=50) for row in seen)])
    assert (first.metrics[0], second.metrics[0]) == ("fid", "fid_inception")
    assert (title(first), title(second)) == ("dots · generate", "dots · generate (inception)")
    assert first.apart == second.apart == ()


def test_a_terminal_shows_the_first_scores_and_the_file_all(tmp_path: Path) -> None:
    row = evaluated(tmp_path, "a", 1)[0]
    found = boards([replace(row, metric=f"score{number}", leads=number == 0) for number in range(9)])
    assert "score2" in to_text(found)
    assert "score3" not in to_text(found)
    assert "score8" in to_markdown(found)


def test_other_data_and_other_tasks_are_other_boards(tmp_path: Path) -> None:
    rows = evaluated(tmp_path, "a", 1)
    changes = [{"dataset": "stars"}, {"task": "reconstruct"}, {"conditions": "noise 0.5"}]
    others = [replace(row, **change) for change in changes for row in rows]
    assert [(b.dataset, b.task, b.conditions) for b in boards([*others, *rows])] == [
        ("dots", "generate", ""),
        ("dots", "generate", "noise 0.5"),
        ("dots", "reconstruct", ""),
        ("stars", "generate", ""),
    ]


def test_csv_has_a_column_for_each_field_and_numbers_that_read_back(tmp_path: Path) -> None:
    rows = evaluated(tmp_path, "a", 1 / 3)
    read = list(csv.DictReader(io.StringIO(to_csv(rows).decode())))
    assert list(read[0]) == [field.name for field in fields(Row)]
    assert float(read[0]["value"]) == 1 / 3
    assert read[1]["floor"] == ""
    assert len(read) == 2


def test_markdown_has_a_table_for_each_board(tmp_path: Path) -> None:
    lines = to_markdown(boards(evaluated(tmp_path, "one", fid=3.25, modes=10))).splitlines()
    assert lines[2:] == [
        "|  | dots · generate | fid | modes |",
        "| --- | --- | --- | --- |",
        "| 1 | one | ✓ 3.25 (baseline 10, floor 1) | = 10 (baseline 10) |",
    ]


def test_a_score_that_a_run_lacks_leaves_its_cell_empty(tmp_path: Path) -> None:
    both, (fid, _) = evaluated(tmp_path, "one", fid=3.25), evaluated(tmp_path, "two", fid=4)
    assert to_markdown(boards([*both, fid])).splitlines()[-1] == "| 2 | two | ✓ 4 (baseline 10, floor 1) |  |"


def test_text_shows_how_far_a_mean_may_be_off(tmp_path: Path) -> None:
    rows = [replace(row, stderr=0.0123) for row in evaluated(tmp_path, "a", 3.25)]
    assert "✓ 3.25 ± 0.012 (baseline 10, floor 1)" in to_text(boards(rows))


def test_text_shows_scores_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs: dict[str, Any] = {"one": RUN, "two": RUN}
    assert boards_text(runs) == "no run has scores yet\n\nnot evaluated: one, two"
    evaluated(tmp_path, "one", fid=3.25, modes=10)
    text = boards_text(runs)
    assert "✓ 3.25 (baseline 10, floor 1)" in text
    assert "= 10 (baseline 10)" in text
    assert text.endswith("not evaluated: two")
