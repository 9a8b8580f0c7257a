from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from genfoundry.files import read_json, sha256_file, write_json
from genfoundry.package import package_run
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny

SCORES = {"fid": {"value": 3.0, "baseline": 9.0, "floor": 1.0}, "mse": {"value": 0.01, "baseline": 0.02}}


@pytest.fixture
def packaged(workspace: Path, shipped: Path) -> Path:
    shutil.copytree(shipped, "onnx/tiny")
    write_json(Path("metrics/tiny.json"), SCORES)
    words = {
        metric: {
            "better": "lower",
            "graph": graph,
            "file_sha256": sha256_file(Path(f"onnx/tiny/{graph}.onnx")),
            "baseline": "PCA",
            "n": 100,
        }
        for metric, graph in (("fid", "generate"), ("mse", "reconstruct"))
    }
    write_json(Path("metrics/tiny.protocol.json"), words)
    package_run("tiny")
    return Path("dist/tiny")


def test_files_are_the_bytes_that_were_measured(packaged: Path) -> None:
    names = {p.name for p in Path("onnx/tiny").glob("*.onnx")}
    assert {p.name for p in packaged.iterdir()} == names | {"card.json", "README.md"}
    for name in names:
        assert (packaged / name).read_bytes() == (Path("onnx/tiny") / name).read_bytes()
    assert set(Artifact.load(packaged)) == {Path(name).stem for name in names}


def test_the_card_has_each_file_s_hash_and_each_score_s_file(packaged: Path) -> None:
    card = read_json(packaged / "card.json")
    assert card["family"] == tiny.ABOUT["family"]
    for graph in card["graphs"].values():
        assert graph["sha256"] == sha256_file(packaged / graph["file"])
        assert graph["bytes"] == (packaged / graph["file"]).stat().st_size
    for metric, roles in SCORES.items():
        entry = card["scores"][metric]
        assert entry.items() >= roles.items()
        assert entry["file_sha256"] == card["graphs"][entry["graph"]]["sha256"]
        assert entry["baseline_name"] == "PCA"


def test_what_is_infinite_is_null_and_the_card_is_json(packaged: Path) -> None:
    infinite = {**SCORES, "fid": {**SCORES["fid"], "value": float("inf")}}
    write_json(Path("metrics/tiny.json"), infinite)
    package_run("tiny")
    assert "Infinity" not in (packaged / "card.json").read_text()
    assert read_json(packaged / "card.json")["scores"]["fid"]["value"] is None
    assert "| fid (lower is better) | ∞ | 9 (PCA) | 1 |" in (packaged / "README.md").read_text()


def test_the_model_card_shows_graphs_scores_and_hashes(packaged: Path) -> None:
    text = (packaged / "README.md").read_text()
    card = read_json(packaged / "card.json")
    for name, graph in card["graphs"].items():
        assert f"| `{name}` | " in text
        assert graph["sha256"][:16] in text
    assert "| fid (lower is better) | 3 | 9 (PCA) | 1 | `generate`, n = 100 |" in text
    assert "| mse (lower is better) | 0.01 | 0.02 (PCA) | – | `reconstruct`, n = 100 |" in text


def test_the_journal_names_the_documents(packaged: Path) -> None:
    lines = [json.loads(line) for line in Path("journal/tiny/package.jsonl").read_text().splitlines()]
    files = {line["path"]: line["sha256"] for line in lines if line["kind"] == "file"}
    assert files == {f"dist/tiny/{n}": sha256_file(packaged / n) for n in ("card.json", "README.md")}
