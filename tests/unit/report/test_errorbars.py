from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from genfoundry.report.errorbars import MARGIN, WIDTH, bars
from genfoundry.report.leaderboard import boards
from tests.unit.report.test_leaderboard import evaluated, with_error


def places(svg: str, kind: str) -> list[float]:
    """Where an element of a class begins and ends."""
    element = re.search(rf'<(?:line|circle) class="{kind}"[^>]*>', svg)
    assert element is not None
    return [float(number) for number in re.findall(r'(?:x1|x2|cx)="([\d.]+)"', element[0])]


def test_a_bar_lies_between_floor_and_baseline_on_the_board_s_scale(tmp_path: Path) -> None:
    """Floor 1, baseline 10: the scale of 9 fills the width."""
    rows = with_error(evaluated(tmp_path, "a", 4.0), 0.5) + with_error(evaluated(tmp_path, "b", 7.0), 0.0)
    (board,) = boards(rows)
    found, unit = bars(board), (WIDTH - 2 * MARGIN) / 9
    assert places(found["a"], "floor") == [MARGIN, MARGIN]
    assert places(found["a"], "baseline") == pytest.approx([WIDTH - MARGIN] * 2)
    assert places(found["a"], "beats") == pytest.approx([MARGIN + 3 * unit], abs=0.1)
    assert places(found["a"], "error") == pytest.approx([MARGIN + 2 * unit, MARGIN + 4 * unit], abs=0.1)
    assert places(found["b"], "beats") == pytest.approx([MARGIN + 6 * unit], abs=0.1)
    assert 'aria-label="fid 4 ± 0.5"' in found["a"]


def test_an_infinite_score_is_at_the_far_end(tmp_path: Path) -> None:
    rows = [replace(row, value=math.inf) for row in evaluated(tmp_path, "a", 4.0)]
    assert places(bars(boards(rows)[0])["a"], "beats") == [WIDTH - MARGIN]


def test_scores_that_are_all_alike_have_a_scale(tmp_path: Path) -> None:
    rows = [replace(row, floor=None) for row in evaluated(tmp_path, "a", 10.0)]
    assert places(bars(boards(rows)[0])["a"], "ties") == [MARGIN]
