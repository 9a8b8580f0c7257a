"""The rules of docs/architecture.md, held against the code as it stands."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from genfoundry.closure import closure, imported
from genfoundry.models import families
from genfoundry.params import read

SOURCE = Path("src/genfoundry")
MODULES = sorted(SOURCE.rglob("*.py"))
PIPELINE = {
    name: stage
    for file in (Path("dvc.yaml"), *Path("stages").glob("*/dvc.yaml"))
    for name, stage in YAML(typ="safe", pure=True).load(file)["stages"].items()
}
COMMANDS = {"playground", "repro", "run_profile", "start_profile", "ui"}  # scripts that are no stages
STAGES = sorted(p.stem for p in Path("pipelines").glob("*.py") if p.stem not in COMMANDS)

# Who may import whom: a layer sees itself and those below it.
LAYERS = [
    {"workspace", "score", "cli"},
    {
        "training.stage",
        "export.stage",
        "tasks.stage",
        "judge.stage",
        "report",
        "package",
        "check",
        "rebuild",
        "tracking",
        "registry",
        "playground",
    },
    {"training", "export", "tasks", "metrics", "judge", "journal"},
    {"models"},
    {"networks", "losses"},
    {"contract", "data", "runtime"},
    {"params", "spec", "files", "pictures", "progress", "closure", "stages", "torchvision_shim"},
]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def layer_of(name: str) -> int:
    """The layer that names the module or the closest package above it; smaller is higher."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        for index, members in enumerate(LAYERS):
            if ".".join(parts[:size]) in members:
                return index
    raise AssertionError(f"{name} belongs to no layer; add it to LAYERS")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_flow_one_way(path):
    own = name_of(path)
    if own in ("", "__init__"):
        return
    for name in imported(path):
        target = name.removeprefix("genfoundry.")
        if target in ("genfoundry", "__version__") or target.startswith("torchvision_shim"):
            continue
        assert layer_of(own) <= layer_of(target), f"{own} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_line_asks_for_a_family_by_name(path):
    if path.parent.name == "models":
        return
    strings = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
    assert not strings & set(families())


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"\.backward\(", "training/loop.py"),
        (r"optimizer\.step\(", "training/loop.py"),
        (r"torch\.autocast\(", "training/runtime.py"),
        (r"^\s*(from|import) mlflow", "registry.py tracking.py"),
        (r"\btorch\.load\(", None),
        (r"^\s*(from|import) .*\bpickle\b|\bpickle\.", "data/unpickle.py"),
        (r"ratio\.exp\(\) - 1", "losses.py"),
    ],
)
def test_each_line_knows_its_room(pattern, home):
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in MODULES
        if any(re.search(pattern, line) for line in path.read_text().splitlines())
    }
    assert found == set(home.split() if home else ())


@pytest.mark.parametrize("folder", ["models", "networks"])
def test_models_know_no_machinery(folder):
    for path in (SOURCE / folder).glob("*.py"):
        tree = ast.parse(path.read_text())
        roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        roots |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not roots & {"mlflow", "dvc", "os", "pathlib", "tqdm", "onnx"}, path


def stage(name: str) -> dict:
    return PIPELINE[name].get("do", PIPELINE[name])


@pytest.mark.parametrize("name", STAGES)
def test_the_deps_of_a_stage_cover_what_its_script_imports(name):
    """By folders, or by the hash that `sources` makes of just that closure."""
    deps = stage(name)["deps"]
    own = "build/sources/${item.family}.sha256" if name == "train" else f"build/sources/stage/{name}.sha256"
    hashed = own in deps
    folders = [Path(dep) for dep in deps]
    missing = [p for p in closure(Path(f"pipelines/{name}.py")) if not {p, *p.parents} & set(folders)]
    assert hashed or not missing, f"{name} imports {sorted(map(str, missing))}"


@pytest.mark.parametrize("name", ["train", "export"])
def test_the_code_of_a_family_is_a_dep_of_what_builds_it(name):
    assert "build/sources/${item.family}.sha256" in stage(name)["deps"]


def test_every_script_is_a_stage_and_short():
    assert set(STAGES) == set(PIPELINE)
    assert all(len(Path(f"pipelines/{name}.py").read_text().splitlines()) <= 40 for name in STAGES)


@pytest.mark.parametrize("name", ["smoke"])
def test_a_profile_changes_numbers_and_not_the_shape(name):
    """Every key of a profile is one of params.yaml."""
    known, profile = read(Path("params.yaml")), read(Path(f"profiles/{name}.yaml"))
    optional = {"limit", "log_every", "sample_every", "checkpoint_every"}

    def stray(tree: dict, base: dict, path: str = "") -> list[str]:
        found = [f"{path}{k}" for k in tree if k not in base and k not in optional]
        nested = [k for k in tree if isinstance(tree[k], dict) and k in base]
        return found + [s for k in nested for s in stray(tree[k], base[k], f"{path}{k}.")]

    assert stray(profile, known) == []
    assert set(profile["runs"]) == set(known["runs"])


def test_importing_the_package_loads_nothing_heavy():
    modules = "genfoundry, genfoundry.cli, genfoundry.runtime.artifact, genfoundry.pictures"
    code = f"import sys, json, {modules}; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(json.loads(shown.stdout)) & {"torch", "mlflow", "pydantic", "dvc", "onnx", "sklearn"}


@pytest.mark.parametrize("name", ["fetch", "prepare", "evaluate", "package", "report"])
def test_a_stage_without_networks_starts_without_torch(name):
    """Seconds of each of the many stages of one `make repro`."""
    code = f"import sys, runpy; runpy.run_path('pipelines/{name}.py'); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_functions_are_short():
    """Most under 15 lines; none over 60."""
    sizes = [
        (n.end_lineno - n.lineno + 1, f"{path}:{n.name}")
        for path in MODULES
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.FunctionDef)
    ]
    assert max(sizes)[0] <= 60
    assert sum(size <= 15 for size, _ in sizes) > 0.7 * len(sizes)
