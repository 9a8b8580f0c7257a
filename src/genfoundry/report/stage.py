"""The report stage: one HTML file that opens from disk, and the leaderboard as CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from genfoundry.export import GATE
from genfoundry.files import read_json, write_atomic
from genfoundry.params import Run, load
from genfoundry.pictures import png
from genfoundry.report.comparison import PICTURES, contests, lines, named, side_by_side
from genfoundry.report.curves import classes_over_time, curves, last_step
from genfoundry.report.errorbars import bars
from genfoundry.report.leaderboard import Row, boards, mark, rows_of, to_csv, to_markdown
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.runtime.golden import FULL
from genfoundry.spec import TensorSpec

LEADS = 2  # scores on a run's card
VIEW = (178, 118)  # pixels of its first picture, at most: whole images of 28


@dataclass(frozen=True)
class Page:
    """What the gallery shows of one run."""

    name: str
    run: Run
    leads: list[Row]  # the first score of each task
    view: str  # of its first picture, small
    trained: int  # steps
    steps: int  # of the state that ships: fewer than were trained where the samples collapsed
    graphs: list[dict[str, Any]]
    margins: dict[str, dict[str, float]]
    limits: dict[str, Any]
    pictures: list[dict[str, Any]]
    histogram: list[dict[str, Any]]
    over_time: str
    curves: str
    usage: str
    variants: list[dict[str, Any]]


def report() -> None:
    """Write the gallery and the leaderboard, as CSV and as Markdown, from the runs that params.yaml names."""
    params = load()
    rows = [row for name, run in params.runs.items() for row in rows_of(name, run)]
    measured = {row.run for row in rows}
    pages = [page(name, run, rows) for name, run in params.runs.items() if name in measured]
    missing = [name for name in params.runs if name not in measured]
    environment = Environment(loader=PackageLoader("genfoundry.report", "."), autoescape=select_autoescape(["j2"]))
    pictures = {page.name: {entry["name"]: entry["data"] for entry in page.pictures} for page in pages}
    html = environment.get_template("index.html.j2").render(
        boards=boards(rows),
        bars=bars,
        sides=side_by_side(rows, pictures),
        named=named,
        titles=PICTURES,
        contests=contests(rows),
        pages=pages,
        missing=missing,
        mark=mark,
    )
    write_atomic(Path("reports/index.html"), html.encode())
    write_atomic(Path("reports/leaderboard.csv"), to_csv(rows))
    write_atomic(Path("reports/leaderboard.md"), to_markdown(boards(rows)).encode())


def page(name: str, run: Run, rows: Sequence[Row]) -> Page:
    """All that the files say of one run, and its scores among `rows`."""
    artifact, gate = Artifact.load(Path("onnx") / name), read_json(Path("onnx") / name / GATE)
    plots = Path("plots") / name
    pictures = read_json(plots / "pictures.json")
    return Page(
        name=name,
        run=run,
        leads=[row for row in rows if row.run == name and row.leads][:LEADS],
        view=_view(plots / f"{pictures[0]['name']}.png") if pictures else "",
        trained=last_step(Path("history") / f"{name}.csv"),
        steps=artifact.about["steps"],
        graphs=[_graph(graph_name, graph) for graph_name, graph in artifact.graphs.items()],
        margins=gate["margins"],
        limits=gate["limits"],
        pictures=[{**entry, "data": _inline((plots / f"{entry['name']}.png").read_bytes())} for entry in pictures],
        histogram=_histogram(plots / "classes.csv"),
        over_time=_over_time(plots / "modes_over_time.csv"),
        curves=_curves(name, run.evaluation.rival),
        usage=usage(name, artifact),
        variants=forms(name, artifact),
    )


def forms(name: str, artifact: Artifact) -> list[dict[str, Any]]:
    """A row for the file that is measured and one for each smaller form of it, whether it ships or not."""
    measured = read_json(Path("metrics") / f"{name}.variants.json")
    times = {row["variant"]: row for row in lines(Path("plots") / name / "variants.csv")}
    if not measured:
        return []
    graph = next(entry["graph"] for entry in measured.values())
    whole = {"graph": graph, "bytes": artifact.graph(graph).path.stat().st_size, "ships": True, "why": ""}
    rows = {FULL: whole, **measured}
    return [{"name": form, **times.get(form, {}), **entry} for form, entry in rows.items()]


def usage(name: str, artifact: Artifact) -> str:
    """Five lines that run the shipped file with nothing but numpy and onnxruntime."""
    graph = next((artifact.graphs[g] for g in ("generate", "reconstruct") if g in artifact), None)
    graph = graph or next(iter(artifact.graphs.values()))
    feed = ", ".join(f'"{key}": {_expression(spec)}' for key, spec in graph.inputs.items())
    outputs = ", ".join(graph.outputs)
    shape = _example(next(iter(graph.outputs.values())))
    return "\n".join(
        [
            "import numpy as np, onnxruntime as ort",
            f'session = ort.InferenceSession("dist/{name}/{graph.path.name}")',
            "rng = np.random.default_rng(0)",
            f"{outputs}, = session.run(None, {{{feed}}})",
            f"print({next(iter(graph.outputs))}.shape)  # {shape}",
        ]
    )


def _expression(spec: TensorSpec) -> str:
    shape = _example(spec)
    if spec.default is not None:
        return f'np.full({shape}, {spec.default}, "{spec.dtype}")'
    if spec.kind == "label":
        drawn = f"integers(0, {int(spec.high)}, {shape})"
    elif spec.kind in ("normal", "value"):
        drawn = f"standard_normal({shape})"
    else:
        drawn = f"uniform({spec.low}, {spec.high}, {shape})"
    return f'rng.{drawn}.astype("{spec.dtype}")'


def _example(spec: TensorSpec) -> tuple[int, ...]:
    return spec.sizes(**dict.fromkeys(spec.axes, 16))


def _graph(name: str, graph: ShippedGraph) -> dict[str, Any]:
    sides = {
        side: ", ".join(f"{key} {list(spec.shape)}" for key, spec in specs.items())
        for side, specs in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }
    return {"name": name, "bytes": graph.path.stat().st_size, **sides}


def _histogram(path: Path) -> list[dict[str, Any]]:
    return [{**row, "samples": float(row["samples"]), "real": float(row["real"])} for row in lines(path)]


def _over_time(path: Path) -> str:
    return classes_over_time(path) if path.exists() else ""


def _curves(name: str, rival: str) -> str:
    own, other = (Path("history") / f"{run}.csv" for run in (name, rival))
    return curves(own, other if rival != name and other.exists() else None)


def _view(path: Path) -> str:
    with Image.open(path) as picture:
        return _inline(png(np.atleast_3d(np.asarray(picture))[: VIEW[1], : VIEW[0]]))


def _inline(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
