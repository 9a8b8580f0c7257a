from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from genfoundry.report.curves import curves


def history(path: Path, terms: list[str]) -> Path:
    lines = [f"{step},{term},{1 / step}" for term in terms for step in (1, 2, 3)]
    path.write_text("\n".join(["step,term,value", *lines, ""]))
    return path


@pytest.mark.parametrize("count", [1, 4, 5])
def test_each_term_has_one_panel_with_its_title(tmp_path: Path, count: int) -> None:
    terms = [f"net/term{i}" for i in range(count)]
    svg = ElementTree.fromstring(curves(history(tmp_path / "h.csv", terms)))
    panels = [g for g in svg.iter("{http://www.w3.org/2000/svg}g") if g.get("id", "").startswith("axes_")]
    texts = ["".join(t.itertext()).strip() for t in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len(panels) == count
    assert sorted(text for text in texts if text.startswith("net/")) == terms


def test_the_same_history_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first, again = (curves(history(tmp_path / name, ["a", "b"])) for name in ("1.csv", "2.csv"))
    assert first == again
    assert first.startswith("<svg")
    assert first != curves(history(tmp_path / "3.csv", ["a", "c"]))
