"""Scores of all runs: a row for each run and metric, and boards that rank runs on the same data and task."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

from genfoundry.files import read_json, sha256_file
from genfoundry.params import Run


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
    better: str
    leads: bool
    verdict: str  # "beats", "ties" or "misses" the baseline
    baseline_name: str
    n: int
    conditions: str  # of the task, where runs may differ in them
    extractor: str | None
    extractor_sha256: str | None


@dataclass(frozen=True)
class Board:
    """Runs on the same data set and task, the best by the leading metric first."""

    dataset: str
    task: str
    conditions: str
    metrics: tuple[str, ...]
    lines: tuple[tuple[str, dict[str, Row]], ...]  # run → its rows by metric
    best: dict[str, float]


def verdict(value: float, baseline: float, better: str) -> str:
    """Against the baseline, with no slack either way."""
    if value == baseline:
        return "ties"
    won = value < baseline if better == "lower" else value > baseline
    return "beats" if won else "misses"


def rows_of(name: str, run: Run, root: Path = Path()) -> list[Row]:
    """The rows of one run; none where it is not complete, or where its scores are not of the files there."""
    try:
        scores = read_json(root / "metrics" / f"{name}.json")
        protocol = read_json(root / "metrics" / f"{name}.protocol.json")
        measured = {words["graph"]: words["file_sha256"] for words in protocol.values()}
        (root / "history" / f"{name}.csv").stat()  # DVC takes it away where a later training failed
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
        better=words["better"],
        leads=words["leads"],
        verdict=verdict(roles["value"], roles["baseline"], words["better"]),
        baseline_name=words["baseline"],
        n=words["n"],
        conditions=words.get("conditions", ""),
        extractor=words.get("extractor"),
        extractor_sha256=words.get("sha256"),
    )


def boards(rows: Iterable[Row]) -> list[Board]:
    """One for each data set and task, in that order; scores by different protocols never share one."""
    key = lambda row: (row.dataset, row.task, row.conditions, row.n, row.extractor_sha256 or "")  # noqa: E731
    return [_board(*place[:3], list(group)) for place, group in groupby(sorted(rows, key=key), key)]


def _board(dataset: str, task: str, conditions: str, rows: list[Row]) -> Board:
    rows = sorted(rows, key=lambda row: not row.leads)
    by_run: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_run.setdefault(row.run, {})[row.metric] = row
    lead = rows[0]
    sign = 1 if lead.better == "lower" else -1
    lines = sorted(by_run.items(), key=lambda item: sign * item[1][lead.metric].value)
    pick = {"lower": min, "higher": max}
    metrics = tuple(dict.fromkeys(row.metric for row in rows))
    best = {
        m: pick[next(r.better for r in rows if r.metric == m)](r.value for r in rows if r.metric == m)
        for m in metrics
    }
    return Board(dataset, task, conditions, metrics, tuple(lines), best)


def to_csv(rows: Iterable[Row]) -> bytes:
    """The whole table, a header first."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue().encode()


def to_text(found: Iterable[Board]) -> str:
    """For a terminal: each score, its baseline and its floor."""
    blocks = []
    for board in found:
        table = _table(board)
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        blocks.append(
            "\n".join(
                "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table
            )
        )
    return "\n\n".join(blocks)


def to_markdown(found: Iterable[Board]) -> str:
    """For a reader of the repository: a table for each board."""
    blocks = ["✓ beats its baseline, = equals it, ✗ misses it; the floor is what real images score."]
    for board in found:
        head, *lines = _table(board)
        rule = ["---"] * len(head)
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)))
    return "\n\n".join(blocks) + "\n"


def _table(board: Board) -> list[list[str]]:
    head = [title(board), *board.metrics]
    cells = ([run, *(_cell(line[m]) if m in line else "" for m in board.metrics)] for run, line in board.lines)
    return [head, *cells]


def title(board: Board) -> str:
    """What its runs have in common."""
    return f"{board.dataset} · {board.task}" + (f" ({board.conditions})" if board.conditions else "")


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
