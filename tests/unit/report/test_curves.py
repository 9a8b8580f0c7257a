from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from genfoundry.report.curves import BLUE, GREY, classes_over_time, curves


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


def test_the_rival_s_curve_lies_beside_the_own(tmp_path: Path) -> None:
    own, rival = history(tmp_path / "own.csv", ["a", "b"]), history(tmp_path / "rival.csv", ["b", "c"])
    alone, beside = curves(own), curves(own, rival)
    assert (alone.count(f"stroke: {GREY}"), beside.count(f"stroke: {GREY}")) == (0, 1)
    assert alone.count(f"stroke: {BLUE}") == beside.count(f"stroke: {BLUE}") == 2


@pytest.mark.parametrize(
    ("values", "middle"), [([1e-4, 1e-2, 1.0], 0.5), ([0.1, 1.0, 10.0], 0.909), ([-1e4, 0.0, 1e4], 0.5)]
)
def test_positive_values_that_differ_by_over_a_thousand_have_a_logarithmic_axis(
    tmp_path: Path, values: list[float], middle: float
) -> None:
    """`middle`: how far the second point is from the third, of the way from the third to the first."""
    path = tmp_path / "h.csv"
    path.write_text("\n".join(["step,term,value", *(f"{i},a,{value}" for i, value in enumerate(values)), ""]))
    svg = ElementTree.fromstring(curves(path))
    (line,) = (p for p in svg.iter("{http://www.w3.org/2000/svg}path") if f"stroke: {BLUE}" in p.get("style", ""))
    low, mid, high = (float(point.split()[1]) for point in re.split("[ML]", line.get("d", ""))[1:])
    assert (high - mid) / (high - low) == pytest.approx(middle, abs=1e-3)


@pytest.mark.parametrize("steps", [[20], [500, 1000, 1500]])
@pytest.mark.parametrize("classes", [2, 30])
def test_each_class_has_a_bar_at_each_step(tmp_path: Path, steps: list[int], classes: int) -> None:
    names = [f"kind{i}" for i in range(classes)]
    rows = [f"{step},{classes},0.1," + ",".join([str(1 / classes)] * classes) for step in steps]
    path = tmp_path / "modes_over_time.csv"
    path.write_text("\n".join([",".join(["step", "modes", "class_kl", *names]), *rows, ""]))
    svg = ElementTree.fromstring(classes_over_time(path))
    bars = [path for path in svg.iter("{http://www.w3.org/2000/svg}path") if "clip-path" in path.attrib]
    assert len(bars) == len(steps) * (classes + 1)
    texts = {"".join(t.itertext()).strip() for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert set(names) <= texts


def test_the_same_history_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first, again = (curves(history(tmp_path / name, ["a", "b"])) for name in ("1.csv", "2.csv"))
    assert first == again
    assert first.startswith("<svg")
    assert first != curves(history(tmp_path / "3.csv", ["a", "c"]))
