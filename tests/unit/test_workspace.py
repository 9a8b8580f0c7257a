from __future__ import annotations

from pathlib import Path

import pytest

from genfoundry.params import ParamsError, read
from genfoundry.workspace import merge, repro, run_profile

BASE = """\
seed: 0
datasets:
  dots: {classes: ["0", "1"], limit: 5, sha256: {train_images: 12e5}}
runs:
  one: {lr: 1e-3, training: {steps: 100, betas: [0.5, 0.9]}}
  two: {training: {steps: 200}}
"""


def merged(folder: Path, base: str, changes: str) -> dict:
    (folder / "base.yaml").write_text(base)
    (folder / "changes.yaml").write_text(changes)
    merge(folder / "base.yaml", folder / "changes.yaml", folder / "merged.yaml")
    return read(folder / "merged.yaml")


def test_merge_changes_the_named_leaves_and_keeps_the_rest(tmp_path: Path) -> None:
    found = merged(tmp_path, BASE, "runs:\n  one: {training: {steps: 7, betas: [0.1]}}\nnew: {key: 1e-2}\n")
    expected = read(tmp_path / "base.yaml")
    expected["runs"]["one"]["training"] = {"steps": 7, "betas": [0.1]}
    expected["new"] = {"key": 1e-2}
    assert found == expected
    assert found["datasets"]["dots"]["classes"] == ["0", "1"]


@pytest.mark.parametrize("word", ["no", "on", "010", "1:30"])
def test_merge_reads_scalars_as_the_pipeline_does(tmp_path: Path, word: str) -> None:
    assert merged(tmp_path, f"word: {word}\n", "other: 1\n")["word"] == read(tmp_path / "base.yaml")["word"]


def test_an_unknown_profile_is_named_with_those_there_are(workspace: Path) -> None:
    Path("profiles").mkdir()
    Path("profiles/smoke.yaml").write_text("")
    with pytest.raises(ParamsError, match=r"there is no profiles/smok\.yaml; there are smoke"):
        run_profile("smok")
    assert not Path("build").exists()


def test_an_unknown_run_is_named_before_anything_starts(workspace: Path) -> None:
    with pytest.raises(ParamsError, match=r"there is no tyni, other in params\.yaml, which has tiny"):
        repro(["tyni", "tiny", "other"])
    assert [p.name for p in workspace.iterdir()] == ["params.yaml"]
