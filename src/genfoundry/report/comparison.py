"""Runs that make images of the same data set, side by side; and classifiers of two kinds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import pstdev

from genfoundry.files import read_json
from genfoundry.report.curves import read_history
from genfoundry.report.leaderboard import Row

LAST = 0.25  # share of the training over which a loss should have come to rest
PICTURES = {"generate": "samples", "walk": "from noise to noise"}  # of `plots/<run>/`, and what they show


@dataclass(frozen=True)
class Side:
    """One run among those that make images of the same data."""

    run: str
    family: str
    scores: Mapping[str, float]  # of the task that the runs share
    appearance: Mapping[str, tuple[float, float]]  # quantity → of samples, of real images
    unrest: tuple[str, float]  # the loss that moves most at the end, and how much: `unrest`
    pictures: Mapping[str, str]  # name → data URL


@dataclass(frozen=True)
class Contest:
    """A generator turned into a classifier, beside the judge."""

    run: str
    dataset: str
    metric: str
    roles: Mapping[str, float]  # "value", "baseline", "judge"
    classes: Sequence[Mapping[str, str]]  # a row for each class: its name, and each classifier's share


def side_by_side(rows: Iterable[Row], pictures: Mapping[str, Mapping[str, str]]) -> dict[str, list[Side]]:
    """Data set → its runs with samples, where there are several. `pictures`: run → name → data URL."""
    made = sorted((row for row in rows if row.task == "generate"), key=lambda row: row.dataset)
    found = {}
    for dataset, group in groupby(made, lambda row: row.dataset):
        by_run: dict[str, list[Row]] = {}
        for row in group:
            by_run.setdefault(row.run, []).append(row)
        if len(by_run) > 1:
            found[dataset] = [side(own, pictures[run]) for run, own in by_run.items()]
    return found


def named(sides: Iterable[Side], what: str) -> list[str]:
    """What any of them has `scores` or an `appearance` of, in the order of first mention."""
    return list(dict.fromkeys(name for each in sides for name in getattr(each, what)))


def side(rows: Sequence[Row], pictures: Mapping[str, str]) -> Side:
    """What the files say of one run, whose scores these are."""
    run, scores = rows[0].run, {row.metric: row.value for row in rows}
    shown = {name: pictures[name] for name in PICTURES if name in pictures}
    appearance = {
        line["quantity"]: (float(line["samples"]), float(line["real"]))
        for line in lines(Path("plots") / run / "appearance.csv")
    }
    return Side(run, rows[0].family, scores, appearance, unrest(Path("history") / f"{run}.csv"), shown)


def unrest(history: Path) -> tuple[str, float]:
    """The loss or watched quantity with the largest deviation over the last quarter, beside its range over all."""
    moved = {}
    for term, points in read_history(history).items():
        values = [value for _, value in points]
        span = max(values) - min(values)
        if not term.endswith("grad_norm") and span > 0:
            moved[term] = pstdev(values[-max(1, round(LAST * len(values))) :]) / span
    term = max(moved, key=moved.__getitem__, default="")
    return term, moved.get(term, 0.0)


def contests(rows: Iterable[Row]) -> list[Contest]:
    """Scores of which the judge has one too."""
    found = []
    for row in rows:
        roles = read_json(Path("metrics") / f"{row.run}.json")[row.metric]
        if "judge" in roles:
            classes = lines(Path("plots") / row.run / f"{row.task}.csv")
            found.append(Contest(row.run, row.dataset, row.metric, roles, classes))
    return found


def lines(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with a header; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
