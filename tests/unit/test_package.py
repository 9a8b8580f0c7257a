from __future__ import annotations

import json
from pathlib import Path

from genfoundry.cli import parser
from genfoundry.files import read_json, sha256_file, write_json
from genfoundry.package import package_run
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny
from tests.unit.conftest import SCORES, VARIANTS


def test_files_are_the_bytes_that_were_measured(packaged: Path) -> None:
    names = {p.name for p in Path("onnx/tiny").glob("*.onnx")}
    assert {p.name for p in packaged.iterdir()} == names | {"card.json", "README.md", "fp16"}
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


def test_a_smaller_form_that_is_good_enough_ships_in_a_folder_of_its_own(packaged: Path) -> None:
    card, own = read_json(packaged / "card.json"), read_json(packaged / "fp16/card.json")
    assert card["variants"] == VARIANTS
    assert set(own["scores"]) == {"fid"}
    assert own["scores"]["fid"].items() >= {"value": 3.5, "baseline": 9.0, "file_sha256": "f" * 64}.items()
    assert set(Artifact.load(packaged / "fp16").verify()) == {path.name for path in packaged.glob("*.onnx")}
    text = (packaged / "README.md").read_text()
    assert "- `dist/tiny/fp16` has 51% of the size of `generate`, and fid 3.5" in text
    assert "- no int8: max_abs 2 is over 1" in text


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
    hashes = {name: graph["sha256"][:8] for name, graph in card["graphs"].items()}
    measured = {name: f"`{name}` `{start}…`, n = 100 |" for name, start in hashes.items()}
    assert f"| fid (lower is better) | 3 | 9 (PCA) | 1 | {measured['generate']}" in text
    assert f"| mse (lower is better) | 0.01 | 0.02 (PCA) | – | {measured['reconstruct']}" in text


def test_the_model_card_says_how_it_is_used_and_what_it_is_not_good_for(packaged: Path) -> None:
    text = (packaged / "README.md").read_text()
    for command in ("generate dist/tiny -n 64", "restore dist/tiny images/", "--mask mask.png", "verify dist/tiny"):
        assert command in text
    assert "Its images have 1 channel and are 8 × 8." in text
    assert "does not beat" not in text
    write_json(Path("metrics/tiny.json"), {**SCORES, "fid": {"value": 9.0, "baseline": 9.0}})
    package_run("tiny")
    assert "By fid it does not beat PCA." in (packaged / "README.md").read_text()


def test_what_a_user_types_for_a_card_s_graphs_is_understood(packaged: Path) -> None:
    """Each line of the card's commands, as far as the arguments."""
    lines = [line.split() for line in (packaged / "README.md").read_text().splitlines() if line.startswith("genf")]
    assert len(lines) == 4
    for line in lines:
        assert parser().parse_args(line[1:]).path == Path("dist/tiny")


def test_the_card_names_the_code_and_the_data_it_came_from(packaged: Path) -> None:
    text, card = (packaged / "README.md").read_text(), read_json(packaged / "card.json")
    assert card["git"].keys() == {"git.commit", "git.dirty"}
    for words in (tiny.ABOUT["identity"], tiny.ABOUT["fingerprint"], "opset 20, IR 10", "code Apache-2.0"):
        assert words in text


def test_the_journal_names_the_documents_and_has_the_model_card(packaged: Path) -> None:
    lines = [json.loads(line) for line in Path("journal/tiny/package.jsonl").read_text().splitlines()]
    files = {line["path"]: line["sha256"] for line in lines if line["kind"] == "file"}
    smaller = [path.relative_to(packaged).as_posix() for path in packaged.glob("fp16/*.onnx")]
    documents = {f"dist/tiny/{n}": sha256_file(packaged / n) for n in ("card.json", "README.md", *smaller)}
    assert files == documents
    described = [line["values"]["description"] for line in lines if "description" in line.get("values", {})]
    assert described == [(packaged / "README.md").read_text()]
