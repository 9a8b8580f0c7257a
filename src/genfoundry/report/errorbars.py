"""Scores of a board as pictures: where a run stands between its baseline and its floor, and how sure that is."""

from __future__ import annotations

import math

from genfoundry.report.leaderboard import ERRORS, Board, Row

WIDTH, HEIGHT, MARGIN = 190, 20, 6


def bars(board: Board) -> dict[str, str]:
    """Run → SVG of its leading score, on one scale for the board: value with its error, baseline, floor."""
    leading = {run: line[board.metrics[0]] for run, line in board.lines}
    ends = [number for row in leading.values() for number in _numbers(row) if math.isfinite(number)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    scale = (WIDTH - 2 * MARGIN) / ((high - low) or 1.0)
    return {run: _bar(row, low, scale) for run, row in leading.items()}


def _numbers(row: Row) -> list[float]:
    error = ERRORS * (row.stderr or 0.0)
    others = [number for number in (row.baseline, row.floor) if number is not None]
    return [row.value - error, row.value + error, *others]


def _bar(row: Row, low: float, scale: float) -> str:
    def at(number: float) -> float:
        return MARGIN + scale * (number - low) if math.isfinite(number) else WIDTH - MARGIN

    middle, error = HEIGHT / 2, ERRORS * (row.stderr or 0.0)
    marks = [("baseline", row.baseline), ("floor", row.floor)]
    ticks = "".join(
        f'<line class="{kind}" x1="{at(number):.1f}" x2="{at(number):.1f}" y1="2" y2="{HEIGHT - 2}"/>'
        for kind, number in marks
        if number is not None
    )
    left, right = (at(row.value + side * error) for side in (-1, 1))
    words = f"{row.metric} {row.value:.4g}" + (f" ± {row.stderr:.2g}" if row.stderr is not None else "")
    return (
        f'<svg class="errorbar" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{words}">{ticks}'
        f'<line class="error" x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<circle class="{row.verdict}" cx="{at(row.value):.1f}" cy="{middle}" r="3.5"/></svg>'
    )
