from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genfoundry
from genfoundry.cli import main
from genfoundry.export import onnx
from genfoundry.pictures import grid, to_bytes
from genfoundry.runtime.artifact import Artifact
from tests.unit import tiny

HEAVY = ("torch", "mlflow", "pydantic", "sklearn", "matplotlib", "dvc")


def test_info_shows_the_run_and_each_graph(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(shipped)]) == 0
    shown = capsys.readouterr().out
    for key in ("run", "family", "dataset", "identity", "licence"):
        assert str(tiny.ABOUT[key]) in shown
    assert "noise normal ['batch', 3] → image image ['batch', 1, 8, 8]" in shown
    assert all(graph in shown for graph in ("generate", "encode", "decode", "reconstruct"))


def test_generate_writes_the_grid_of_the_artifact_s_images(shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert main(["generate", str(shipped / "generate.onnx"), "-n", "5", "--seed", "2", "-o", str(out)]) == 0
    expected = grid(to_bytes(Artifact.load(shipped).generate(5, seed=2)))
    assert np.array_equal(np.asarray(Image.open(out)), expected[..., 0])


def test_an_input_can_be_set(shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert main(["generate", str(shipped), "-n", "5", "--set", "noise=0.5", "-o", str(out)]) == 0
    expected = grid(to_bytes(Artifact.load(shipped).generate(5, inputs={"noise": 0.5})))
    assert np.array_equal(np.asarray(Image.open(out)), expected[..., 0])
    assert main(["generate", str(shipped), "--set", "colour=1"]) == 2


@pytest.mark.parametrize("command", ["info", "generate"])
@pytest.mark.parametrize("kind", ["damaged", "absent"])
def test_a_file_that_is_no_use_is_exit_code_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str
) -> None:
    path = tmp_path / "generate.onnx"
    if kind == "damaged":
        path.write_bytes(b"\x08\x07 no model")
    assert main([command, str(path)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("genfoundry: ")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_a_place_that_cannot_be_written_is_exit_code_2(shipped: Path, tmp_path: Path) -> None:
    assert main(["generate", str(shipped), "-n", "1", "-o", str(tmp_path / "none" / "out.png")]) == 2


@pytest.mark.parametrize(
    "options",
    [["-n", "0"], ["-n", "x"], ["--seed", "-1"], ["--unknown"], ["--set", "noise"]],
    ids=lambda options: " ".join(options),
)
def test_wrong_options_are_exit_code_2(shipped: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["generate", str(shipped), *options])
    assert error.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert capsys.readouterr().out.strip() == genfoundry.__version__


def test_info_shows_a_judge_s_file_too(tmp_path: Path) -> None:
    about = {"dataset": "dots", "fingerprint": "a" * 64}
    onnx.write(tiny.generate_graph(), tmp_path / "generate.onnx", about, opset=20)
    assert main(["info", str(tmp_path)]) == 0


def test_the_runtime_imports_nothing_heavy(shipped: Path, tmp_path: Path) -> None:
    code = (
        "import sys, genfoundry\n"
        "from genfoundry.cli import main\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "assert main(['generate', sys.argv[1], '-n', '2']) == 0\n"
        "assert genfoundry.Artifact\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert tiny.python("-c", code, str(shipped), cwd=tmp_path).stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "samples.png").exists()
