"""What docker/ promises, read from its files; and the runtime image, built and used where that can be done."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from genfoundry.export import onnx
from genfoundry.models import build
from tests.unit import tiny

IMAGES = sorted(Path("docker").glob("*.Dockerfile"))
SERVICES = YAML(typ="safe", pure=True).load(Path("docker/compose.yaml"))["services"]
GPU = YAML(typ="safe", pure=True).load(Path("docker/gpu.yaml"))["services"]
NEEDED = ("buildah", "debootstrap")


@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.stem)
def test_nobody_is_root_and_the_base_can_be_chosen(file):
    lines = file.read_text().splitlines()
    last = [line.split()[1] for line in lines if line.startswith("USER ")][-1]
    assert any(re.search(rf"useradd .*{last}\b", line) for line in lines)
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}


def test_each_image_is_a_service():
    built = {entry["build"]["dockerfile"] for entry in SERVICES.values() if "build" in entry}
    assert built == {file.as_posix() for file in IMAGES}


def test_a_gpu_changes_what_there_is():
    for name, entry in GPU.items():
        lines = Path(SERVICES[name]["build"]["dockerfile"]).read_text().splitlines()
        given = {line.split()[1].split("=")[0] for line in lines if line.startswith("ARG ")}
        assert set(entry["build"]["args"]) <= given, name


def test_there_is_no_password_by_default_and_no_port_beyond_this_machine():
    for name, entry in SERVICES.items():
        for key, value in entry.get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("${POSTGRES_PASSWORD:?"), name
        assert all(port.startswith("127.0.0.1:") for port in entry.get("ports", [])), name
    assert "ports" not in SERVICES["db"]


def test_services_are_healthy_before_others_start():
    for name, entry in SERVICES.items():
        for needed, how in entry.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            assert "healthcheck" in SERVICES[needed], needed


def test_what_runs_strangers_files_can_write_nowhere_and_call_nobody():
    runtime = SERVICES["runtime"]
    assert runtime["read_only"]
    assert runtime["network_mode"] == "none"
    assert runtime["cap_drop"] == ["ALL"]
    assert "dist:/dist:ro" in runtime["volumes"]


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)), reason=f"needs root, {' and '.join(NEEDED)}"
)
def test_verify_and_generate_inside_the_runtime(tmp_path):
    for graph in build("vae", tiny.VAE, tiny.DATA).eval().graphs():
        onnx.write(graph, tmp_path / "tiny" / f"{graph.name}.onnx", tiny.ABOUT, opset=20)
    done = subprocess.run(["docker/check.sh", "runtime", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("gives here what it gave at the export") == len(list(tmp_path.rglob("*.onnx")))
