from __future__ import annotations

from pathlib import Path

import pytest

from genfoundry.closure import closure, digest, family_sources, files_of

FILES = {
    "pipelines/train.py": "from genfoundry.loop import train\nimport os\n",
    "src/genfoundry/__init__.py": "",
    "src/genfoundry/loop.py": "def train():\n    from genfoundry.deep import inner\n    import numpy\n",
    "src/genfoundry/deep/__init__.py": "",
    "src/genfoundry/deep/inner.py": "import genfoundry.leaf as leaf\n",
    "src/genfoundry/leaf.py": "from genfoundry import loop\n",
    "src/genfoundry/other.py": "VALUE = 1\n",
    "src/genfoundry/models/__init__.py": "",
    "src/genfoundry/models/vae.py": "from genfoundry.deep import inner\n",
    "src/genfoundry/models/gan.py": "from genfoundry.other import VALUE\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reached(tree: Path, script: str) -> set[str]:
    found = closure(tree / script, source=tree / "src")
    assert list(found) == sorted(found)
    return {path.relative_to(tree).as_posix().removeprefix("src/genfoundry/") for path in found}


def test_imports_in_functions_submodules_and_cycles_are_followed(tree: Path) -> None:
    assert reached(tree, "pipelines/train.py") == {
        "pipelines/train.py",
        "__init__.py",
        "loop.py",
        "deep/__init__.py",
        "deep/inner.py",
        "leaf.py",
    }


def test_a_name_that_is_no_module_adds_nothing(tree: Path) -> None:
    assert reached(tree, "src/genfoundry/models/gan.py") == {"models/gan.py", "__init__.py", "other.py"}


def test_a_dotted_name_executes_its_packages(tree: Path) -> None:
    found = [p.relative_to(tree / "src").as_posix() for p in files_of("genfoundry.deep.inner.name", tree / "src")]
    assert found == ["genfoundry/__init__.py", "genfoundry/deep/__init__.py", "genfoundry/deep/inner.py"]


def test_relative_imports_are_followed(tree: Path) -> None:
    (tree / "src/genfoundry/relative.py").write_text("from .other import VALUE\n")
    assert "other.py" in reached(tree, "src/genfoundry/relative.py")


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("src/genfoundry/leaf.py", True),
        ("src/genfoundry/models/vae.py", True),
        ("pipelines/train.py", True),
        ("src/genfoundry/other.py", False),
        ("src/genfoundry/models/gan.py", False),
        ("src/genfoundry/models/new.py", False),
    ],
)
def test_family_hash_follows_exactly_the_code_it_reaches(tree: Path, changed: str, matters: bool) -> None:
    before = family_sources("vae")
    path = tree / changed
    path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")
    assert (family_sources("vae") != before) is matters


def test_digest_depends_on_path_and_content(tree: Path) -> None:
    Path("a").write_text("x")
    Path("b").write_text("x")
    assert digest((Path("a"),)) != digest((Path("b"),))
    before = digest((Path("a"),))
    Path("a").write_text("y")
    assert digest((Path("a"),)) != before
