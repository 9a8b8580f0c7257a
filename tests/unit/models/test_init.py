from __future__ import annotations

import sys
from pathlib import Path

import pytest

import genfoundry.models
from genfoundry.models import build, families, family
from genfoundry.params import ParamsError
from tests.unit import tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are families too."""
    monkeypatch.setattr(genfoundry.models, "__path__", [*genfoundry.models.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_the_registry_is_the_file_names() -> None:
    files = {p.stem for p in (tiny.SOURCE / "genfoundry/models").glob("*.py")} - {"__init__"}
    assert set(families()) == files
    assert family("vae").__module__ == "genfoundry.models.vae"


def test_a_broken_sibling_stops_no_other_family(folder: Path) -> None:
    (folder / "broken.py").write_text("this is no python")
    assert "broken" in families()
    assert build("vae", tiny.VAE, tiny.DATA).graphs()
    with pytest.raises(SyntaxError):
        family("broken")


@pytest.mark.parametrize("names", [[], ["One", "Two"]])
def test_a_file_defines_exactly_one_family(folder: Path, names: list[str]) -> None:
    lines = [
        "from genfoundry.contract import GenerativeModel",
        *(f"class {n}(GenerativeModel): ..." for n in names),
    ]
    (folder / f"count{len(names)}.py").write_text("\n".join(lines))
    with pytest.raises(LookupError, match=f"defines {len(names)} families; it must define exactly one"):
        family(f"count{len(names)}")


@pytest.mark.parametrize(
    ("name", "params", "line"),
    [
        ("nothing", {}, "runs.x.family: unknown family 'nothing'; there are "),
        ("vae", {**tiny.VAE, "chanels": 2}, "runs.x.model.chanels: unknown key; did you mean 'channels'?"),
        ("vae", {**tiny.VAE, "likelihood": "poisson"}, "runs.x.model.likelihood: "),
    ],
)
def test_wrong_params_name_their_path(name: str, params: dict, line: str) -> None:
    with pytest.raises(ParamsError) as error:
        build(name, params, tiny.DATA, "runs.x.model")
    assert str(error.value).startswith(line)
