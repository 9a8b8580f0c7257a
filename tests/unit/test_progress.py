from __future__ import annotations

import pytest

from genfoundry.progress import progress, say


def test_without_a_terminal_each_update_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), "work", total=3, unit="image")) == [0, 1, 2]
    said = capsys.readouterr().err
    assert "\r" not in said
    assert "work: 100%" in said
    assert "3/3" in said
    assert "image/s" in said


def test_what_is_said_beside_a_bar_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(3), "work", total=3):
        say("hear, hear")
    assert capsys.readouterr().err.splitlines().count("hear, hear") == 3


def test_a_resumed_bar_begins_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    list(progress(range(7, 10), "work", total=10, done=7))
    said = capsys.readouterr().err
    assert "7/10" in said
    assert "10/10" in said
