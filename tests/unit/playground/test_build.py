"""Shipped graphs of every kind in a real browser: what it draws is what the Python runtime gives."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfoundry.contract import Scan
from genfoundry.data import DataError
from genfoundry.export import onnx, variants
from genfoundry.models import families
from genfoundry.playground.build import DIRECTIONS, build, on_the_page
from genfoundry.runtime import golden
from genfoundry.runtime.artifact import Artifact
from genfoundry.score import cache_home
from tests.contract.test_contract import tiny as tiny_family
from tests.unit import tiny

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.xdist_group("playground")  # whose files are made once
STEP = 2 / 255  # a pixel may differ by
PAGE = """<!doctype html><script type="module">
import { run } from "./model.js";
const manifest = await (await fetch("manifest.json")).json();
const answers = [];
for (const { name, graph, inputs } of await (await fetch("asked.json")).json()) {
  const entry = manifest.runs.find((candidate) => candidate.run === name);
  try {
    const { outputs } = await run(entry.graphs[graph], inputs);
    const plain = Object.entries(outputs).map(([key, value]) => [key, { ...value, data: Array.from(value.data) }]);
    answers.push(Object.fromEntries(plain));
  } catch (error) {
    answers.push({ error: error.message });
  }
}
await fetch("answers", { method: "POST", body: JSON.stringify(answers) });
</script>"""


@pytest.fixture(scope="module")
def shipped_families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dist/` with untrained runs in two forms: a family for each kind of graph that none before it has."""
    dist, seen = tmp_path_factory.mktemp("families") / "dist", set()
    for name in families():
        graphs = tiny_family(name).eval().graphs()
        kinds = {(graph.name, isinstance(graph.module, Scan)) for graph in graphs}
        if kinds <= seen:
            continue
        seen |= kinds
        about = {**tiny.ABOUT, "run": name, "family": name, "classes": ["a", "b", "c"]}
        for graph in graphs:
            file = dist / name / f"{graph.name}.onnx"
            onnx.write(graph, file, about, opset=20)
            variants.write(graph, file, dist / name / "fp16" / file.name, "fp16", {})
        (dist / name / "card.json").write_text("{}")
    return dist


@pytest.fixture
def site(workspace: Path, prepared: Path, shipped_families: Path) -> Path:
    """Their playground."""
    Path("dist").symlink_to(shipped_families)
    build(dict.fromkeys(runs(), "dots"), workspace / "site", cache_home())
    return workspace / "site"


def runs() -> list[str]:
    return sorted(folder.name for folder in Path("dist").iterdir())


@pytest.fixture
def browser(site: Path) -> Iterator[Any]:
    """Opens a page of the site and gives back what it posts."""
    posted: list[bytes] = []
    arrived = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def visit(page: str) -> Any:
        address = f"http://127.0.0.1:{server.server_port}/{page}"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        command = [str(BROWSER), *flags, f"--user-data-dir={site.parent / 'profile'}", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                assert arrived.wait(120), "the page did not answer"
            finally:
                process.terminate()
        return json.loads(posted[-1])

    yield visit
    server.shutdown()


def asked_of(artifact: Artifact, name: str) -> Iterator[dict[str, Any]]:
    """Each graph on its golden inputs, as the page wants them."""
    for graph_name, graph in artifact.graphs.items():
        inputs = golden.inputs_of(graph.inputs)
        as_json = {key: {"data": array.ravel().tolist(), "dims": array.shape} for key, array in inputs.items()}
        yield {"name": name, "graph": graph_name, "inputs": as_json}


@pytest.mark.skipif(BROWSER is None, reason="wants chromium")
def test_the_browser_draws_what_the_runtime_gives(site: Path, browser: Any) -> None:
    artifacts = {name: on_the_page(name) for name in runs()}
    shown = [graph for artifact in artifacts.values() for graph in artifact.graphs.values()]
    assert {graph.about["variant"] for graph in shown} == {"fp16"}
    asked = [question for name, artifact in artifacts.items() for question in asked_of(artifact, name)]
    (site / "asked.json").write_text(json.dumps(asked))
    (site / "check.html").write_text(PAGE)
    answers = browser("check.html")
    assert len(answers) == len(asked)
    for question, answer in zip(asked, answers, strict=True):
        graph = artifacts[question["name"]].graph(question["graph"])
        expected = golden.answered(graph.container.content, graph.path, graph.inputs, list(graph.outputs))
        assert set(answer) == set(expected), (question["name"], question["graph"], answer)
        for key, values in expected.items():
            found = np.array(answer[key]["data"]).reshape(answer[key]["dims"])
            unit = max(1.0, float(np.abs(values).max()))
            assert np.abs(found - values).max() <= STEP * unit, (question["name"], question["graph"])


def test_without_runs_it_says_what_to_do(workspace: Path) -> None:
    with pytest.raises(DataError, match="`make repro` first"):
        build({"tiny": "dots"}, workspace / "site", workspace / "cache")


def test_the_site_is_whole_by_itself(site: Path) -> None:
    manifest = json.loads((site / "manifest.json").read_text())
    assert [run["run"] for run in manifest["runs"]] == runs()
    for run in manifest["runs"]:
        for graph in run["graphs"].values():
            assert (site / graph["file"]).stat().st_size == graph["bytes"]
        for ways in run["directions"].values():
            np.testing.assert_allclose(np.linalg.norm(ways, axis=1), 1.0, atol=1e-3)
            assert len(ways) <= DIRECTIONS
    for names in manifest["examples"]["dots"].values():
        assert all((site / name).exists() for name in names)
    for page in (*site.glob("*.html"), *site.glob("*.js"), *site.glob("*.css")):
        text = page.read_text()
        assert "http:" not in text, page
        assert "https:" not in text, page
    assert os.path.getsize(site / "ort" / "ort-wasm-simd-threaded.wasm") > 10**7
