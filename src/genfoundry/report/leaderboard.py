"""Scores of all runs: a row for each run and metric, and boards that rank runs on the same data and task."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from genfoundry.files import read_json, sha256_file
from genfoundry.metrics import JUDGE
from genfoundry.params import Run

COLUMNS = 3  # scores of a run on a terminal
ERRORS = 2.0  # standard errors of a difference, within which two scores tie
LEGEND = (
    "✓ beats its baseline, = is within two standard errors of their difference, ✗ misses it; runs of one rank are "
    "within two of each other; ± is a score's own standard error; the floor is what real images score."
)
PROTOCOL = {  # what scores must have in common to be ranked, and how a reader is told
    "conditions": "conditions",
    "n": "n",
    "n_real": "real images",
    "extractor_sha256": "extractor's SHA-256",
    "resize": "resizing",
}


@dataclass(frozen=True)
class Row:
    """One score of one run, with what it is compared to."""

    dataset: str
    task: str
    graph: str
    run: str
    family: str
    metric: str
    value: float
    baseline: float
    floor: float | None
    stderr: float | None
    difference_stderr: float | None  # of value − baseline
    better: str
    leads: bool
    verdict: str  # "beats", "ties" or "misses" the baseline
    baseline_name: str
    n: int
    n_real: int | None
    conditions: str  # of the task, where runs may differ in them
    resize: str | None
    extractor: str | None
    extractor_sha256: str | None


@dataclass(frozen=True)
class Board:
    """Runs on the same data set and task under one protocol, the best by the leading metric first."""

    dataset: str
    task: str
    conditions: str
    extractor: str  # where it is none of the data set's own
    metrics: tuple[str, ...]
    lines: tuple[tuple[str, dict[str, Row]], ...]  # run → its rows by metric
    ranks: dict[str, int]  # runs that tie with the same runs above them share one
    apart: tuple[str, ...] = ()  # a line for each other board of this data set and task: what differs

    def better(self, metric: str) -> str:
        """`lower` or `higher`."""
        return next(line[metric].better for _, line in self.lines if metric in line)

    def is_best(self, row: Row) -> bool:
        """Whether no run's score of this metric is better by more than the error."""
        return not any(beats(line[row.metric], row) for _, line in self.lines if row.metric in line)


def verdict(value: float, baseline: float, better: str, stderr: float = 0.0) -> str:
    """Against the baseline; `stderr` is of their difference."""
    if value == baseline or abs(value - baseline) <= ERRORS * stderr:
        return "ties"
    won = value < baseline if better == "lower" else value > baseline
    return "beats" if won else "misses"


def beats(a: Row, b: Row) -> bool:
    """Whether the first is better than the second by more than their error."""
    return verdict(a.value, b.value, a.better, math.hypot(a.stderr or 0.0, b.stderr or 0.0)) == "beats"


def rows_of(name: str, run: Run, root: Path = Path()) -> list[Row]:
    """The rows of one run; none where it is not complete, or where its scores are not of the files there."""
    try:
        scores = read_json(root / "metrics" / f"{name}.json")
        protocol = read_json(root / "metrics" / f"{name}.protocol.json")
        measured = {words["graph"]: words["file_sha256"] for words in protocol.values()}
        (root / "history" / f"{name}.csv").stat()  # DVC takes it away where a later training failed
        (root / "plots" / name / "pictures.json").stat()  # absent where a rival is exported and git has its scores
        there = {graph: sha256_file(root / "onnx" / name / f"{graph}.onnx") for graph in measured}
    except FileNotFoundError:
        return []
    if there != measured:
        return []
    return [_row(name, run, metric, roles, protocol[metric]) for metric, roles in scores.items()]


def _row(name: str, run: Run, metric: str, roles: Mapping[str, float], words: Mapping[str, Any]) -> Row:
    return Row(
        dataset=run.data.dataset,
        task=words["task"],
        graph=words["graph"],
        run=name,
        family=run.family,
        metric=metric,
        value=roles["value"],
        baseline=roles["baseline"],
        floor=roles.get("floor"),
        stderr=roles.get("stderr"),
        difference_stderr=roles.get("difference_stderr"),
        better=words["better"],
        leads=words["leads"],
        verdict=verdict(roles["value"], roles["baseline"], words["better"], roles.get("difference_stderr", 0.0)),
        baseline_name=words["baseline"],
        n=words["n"],
        n_real=words.get("n_real"),
        conditions=words.get("conditions", ""),
        resize=words.get("resize"),
        extractor=words.get("extractor"),
        extractor_sha256=words.get("sha256"),
    )


def boards(rows: Iterable[Row]) -> list[Board]:
    """One for each data set, task and protocol, in that order; scores by different protocols never share one."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_place(row) + tuple(str(getattr(row, name) or "") for name in PROTOCOL), []).append(row)
    # Of one task, by conditions; what published networks see comes after what the judge saw, as in the runs' files.
    ordered = sorted(groups.values(), key=lambda group: (*_place(group[0]), group[0].conditions))
    return [_board(group, [other for other in ordered if other is not group]) for group in ordered]


def _place(row: Row) -> tuple[str, str]:
    return row.dataset, row.task


def _board(rows: Sequence[Row], others: Iterable[Sequence[Row]]) -> Board:
    rows = sorted(rows, key=lambda row: not row.leads)
    by_run: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_run.setdefault(row.run, {})[row.metric] = row
    lead = rows[0]
    sign = 1 if lead.better == "lower" else -1
    lines = sorted(by_run.items(), key=lambda item: sign * item[1][lead.metric].value)
    leading = {run: line[lead.metric] for run, line in lines}
    return Board(
        lead.dataset,
        lead.task,
        lead.conditions,
        lead.extractor if lead.extractor not in (None, JUDGE) else "",
        tuple(dict.fromkeys(row.metric for row in rows)),
        tuple(lines),
        {run: 1 + sum(beats(other, row) for other in leading.values()) for run, row in leading.items()},
        tuple(_apart(lead, other) for other in others if _might_rank(rows, other)),
    )


def _might_rank(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether a reader would look for both on one board: the same question, and a score of one name."""
    alike = _place(rows[0]) == _place(others[0])
    return alike and not {row.metric for row in rows}.isdisjoint(row.metric for row in others)


def _apart(own: Row, rows: Sequence[Row]) -> str:
    """Why a board's runs are not ranked among those of another."""
    runs = ", ".join(dict.fromkeys(row.run for row in rows))
    differences = [
        f"{words} {_short(getattr(rows[0], name))} there, {_short(getattr(own, name))} here"
        for name, words in PROTOCOL.items()
        if getattr(rows[0], name) != getattr(own, name)
    ]
    return f"not ranked with {runs}: {'; '.join(differences)}"


def _short(value: object) -> str:
    return str(value or "none")[:40]


def to_csv(rows: Iterable[Row]) -> bytes:
    """The whole table, a header first."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue().encode()


def to_text(found: Iterable[Board]) -> str:
    """For a terminal: the first scores of each run, with baseline and floor."""
    blocks = []
    for board in found:
        table = _table(board, COLUMNS)
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table)
        blocks.append("\n".join([*lines, *board.apart]))
    return "\n\n".join(blocks)


def to_markdown(found: Iterable[Board]) -> str:
    """For a reader of the repository: a table for each board."""
    blocks = [LEGEND]
    for board in found:
        head, *lines = _table(board, len(board.metrics))
        rule = ["---"] * len(head)
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)))
        blocks += board.apart
    return "\n\n".join(blocks) + "\n"


def _table(board: Board, most: int) -> list[list[str]]:
    metrics = board.metrics[:most]
    cells = (
        [str(board.ranks[run]), run, *(_cell(line[m]) if m in line else "" for m in metrics)]
        for run, line in board.lines
    )
    return [["", title(board), *metrics], *cells]


def title(board: Board) -> str:
    """What its runs have in common."""
    apart = ", ".join(filter(None, [board.conditions, board.extractor]))
    return f"{board.dataset} · {board.task}" + (f" ({apart})" if apart else "")


def boards_text(runs: Mapping[str, Run]) -> str:
    """The boards of all runs for a terminal, and what is not there yet."""
    rows = [row for name, run in runs.items() for row in rows_of(name, run)]
    missing = sorted(set(runs) - {row.run for row in rows})
    text = to_text(boards(rows)) or "no run has scores yet"
    return text + (f"\n\nnot evaluated: {', '.join(missing)}" if missing else "")


def mark(row: Row) -> str:
    """✓, = or ✗."""
    return {"beats": "✓", "ties": "=", "misses": "✗"}[row.verdict]


def _cell(row: Row) -> str:
    floor = "" if row.floor is None else f", floor {row.floor:.3g}"
    spread = "" if row.stderr is None else f" ± {row.stderr:.2g}"
    return f"{mark(row)} {row.value:.4g}{spread} (baseline {row.baseline:.4g}{floor})"
