"""`dist/` → a folder that any web server can serve: the shipped files, ONNX Runtime for the browser, one page."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.data import DataError, SourceError
from genfoundry.data.batches import Prepared
from genfoundry.data.sources import run, unpack_all
from genfoundry.files import folder_atomic, sha256_file, write_json
from genfoundry.pictures import grid, png
from genfoundry.runtime.artifact import CARD, Artifact, ShippedGraph
from genfoundry.spec import IMAGE_KEYS

STATIC = Path(__file__).parent / "static"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"  # of the package
VENDORED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
HALF = "fp16"  # weights take half the time to load, and what is computed with them is float32
EXAMPLES = 12  # held-out images of each data set and side
PROBES, DIRECTIONS = 512, 6  # samples that show where images change most, and how many such ways have a slider


def build(runs: Mapping[str, str], target: Path, cache: Path) -> list[str]:
    """Make `target` from the runs that are packaged, `runs` being name → data set; their names.

    Raises:
        DataError: none is.
        SourceError: ONNX Runtime for the browser could not be fetched.
    """
    packaged = [name for name in runs if (Path("dist") / name / CARD).exists()]
    if not packaged:
        raise DataError("dist/ holds no run: `make repro` first")
    with folder_atomic(target) as folder:
        shutil.copytree(STATIC, folder, dirs_exist_ok=True)
        shutil.copytree(vendored(cache), folder / "ort")
        entries = [entry(name, folder) for name in packaged]
        sides = {runs[name]: examples(runs[name], folder) for name in packaged}
        write_json(folder / "manifest.json", {"runs": entries, "examples": sides})
    return packaged


def vendored(cache: Path) -> Path:
    """ONNX Runtime for the browser, fetched once.

    Raises:
        SourceError: the registry gives no such package, or another one.
    """
    place = cache / f"{PACKAGE}-{VERSION}"
    if place.exists():
        return place
    with tempfile.TemporaryDirectory() as scratch, folder_atomic(place) as folder:
        run(["npm", "pack", "--loglevel=error", f"{PACKAGE}@{VERSION}"], Path(scratch))
        (archive,) = Path(scratch).glob("*.tgz")
        if sha256_file(archive) != SHA256:
            raise SourceError(f"{PACKAGE}@{VERSION} is not the package that it was")
        content = unpack_all(Path(scratch), "*.tgz") / "package"
        for name in VENDORED:
            shutil.copyfile(content / "dist" / name, folder / name)
    return place


def entry(run_name: str, folder: Path) -> dict[str, Any]:
    """A run's files, copied, and what the page has to know of them."""
    artifact, place = on_the_page(run_name), folder / "models" / run_name
    place.mkdir(parents=True)
    graphs = {}
    for name, graph in artifact.graphs.items():
        shutil.copyfile(graph.path, place / graph.path.name)
        graphs[name] = {
            "file": f"models/{run_name}/{graph.path.name}",
            "bytes": graph.path.stat().st_size,
            "inputs": graph.about["inputs"],
            "outputs": graph.about["outputs"],
        }
    about = {key: artifact.about[key] for key in ("run", "family", "dataset", "classes", "licence")}
    generate = artifact.graphs.get("generate")
    return {**about, "graphs": graphs, "directions": directions(generate) if generate else {}}


def on_the_page(run_name: str) -> Artifact:
    """A run's files, in half the bytes where it ships them so."""
    folder = Path("dist") / run_name
    whole, half = Artifact.load(folder).graphs, folder / HALF
    return Artifact({**whole, **(Artifact.load(half).graphs if half.is_dir() else {})})


def directions(graph: ShippedGraph) -> dict[str, list[list[float]]]:
    """Along which ways of a vector of noise images change most: left singular vectors of cov(noise, pixels)."""
    vectors = [name for name, spec in graph.inputs.items() if spec.kind == "normal" and len(spec.shape) == 2]
    if not vectors:
        return {}
    rng = np.random.default_rng(0)
    drawn = {name: spec.draw(rng, batch=PROBES) for name, spec in graph.inputs.items()}
    pixels = graph.run(drawn).reshape(PROBES, -1)
    covariance = drawn[vectors[0]].T @ (pixels - pixels.mean(axis=0))
    ways, _, _ = np.linalg.svd(covariance, full_matrices=False)
    return {vectors[0]: np.round(ways[:, :DIRECTIONS].T, 5).tolist()}


def examples(dataset: str, folder: Path) -> dict[str, list[str]]:
    """Held-out images by batch key, as files."""
    prepared = Prepared(Path("data/prepared") / dataset)
    arrays = prepared.split("test").arrays
    found: dict[str, list[str]] = {}
    for key in IMAGE_KEYS[prepared.layout]:
        for number, image in enumerate(arrays[key][:EXAMPLES]):
            name = f"examples/{dataset}/{key}-{number}.png"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png(grid(image[None])))
            found.setdefault(key, []).append(name)
    return found
