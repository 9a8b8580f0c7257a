from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

import genfoundry
from genfoundry.cli import main
from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import onnx
from genfoundry.pictures import from_bytes, grid, to_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.runtime.cli import Bar
from tests.unit import tiny


class Labelled(nn.Module):
    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        return (noise + label[:, None]).sigmoid().repeat(1, 16).unflatten(1, tiny.SHAPE)


def labelled_graph() -> Graph:
    inputs = {
        "noise": TensorSpec(("batch", 4), "normal"),
        "label": TensorSpec(("batch",), "label", high=2, dtype="int64"),
    }
    return Graph("generate", Labelled(), inputs, {"image": tiny.DATA.image})


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
    (tmp_path / "file").touch()
    assert main(["generate", str(shipped), "-n", "1", "-o", str(tmp_path / "file" / "out.png")]) == 2


@pytest.mark.parametrize(
    "options",
    [["-n", "0"], ["-n", "x"], ["--seed", "-1"], ["--unknown"], ["--set", "noise"]],
    ids=lambda options: " ".join(options),
)
def test_wrong_options_are_exit_code_2(shipped: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["generate", str(shipped), *options])
    assert error.value.code == 2


def test_verify_says_so_of_each_file(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(shipped)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(shipped.glob("*.onnx")))
    assert all("whole, and gives here what it gave at the export, to the bit" in line for line in lines)


def test_info_as_json_is_what_the_files_say(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(shipped), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encode"] == Artifact.load(shipped).graph("encode").about


def test_images_go_in_and_out(shipped: Path, tmp_path: Path) -> None:
    made, again, filled = (str(tmp_path / name) for name in ("made", "again.npz", "filled.npz"))
    assert main(["generate", str(shipped), "-n", "3", "-o", made]) == 0
    assert main(["reconstruct", str(shipped), made, "-o", again]) == 0
    assert main(["restore", str(shipped), made, "--mask", f"{made}/0000.png", "-o", filled]) == 0
    artifact = Artifact.load(shipped)
    images = from_bytes(np.stack([np.asarray(Image.open(f))[None] for f in sorted(Path(made).iterdir())]))
    np.testing.assert_allclose(np.load(again)["images"], artifact.reconstruct(images), atol=1e-6)
    assert np.load(filled)["images"].shape == images.shape
    assert main(["translate", str(shipped), made, "--back", "-o", again]) == 2


def test_a_way_leads_between_seeds_or_images(shipped: Path, tmp_path: Path) -> None:
    row, made = tmp_path / "row.png", tmp_path / "made"
    assert main(["interpolate", str(shipped), "3", "7", "--steps", "5", "-o", str(row)]) == 0
    assert Image.open(row).size == (5 * 10 - 2, 8)
    assert main(["generate", str(shipped), "-n", "2", "-o", str(made)]) == 0
    ends = [str(made / "0000.png"), str(made / "0001.png")]
    assert main(["interpolate", str(shipped), *ends, "--steps", "4", "-o", str(row)]) == 0
    assert Image.open(row).size == (4 * 10 - 2, 8)


def test_a_class_has_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.write(labelled_graph(), tmp_path / "generate.onnx", tiny.ABOUT, opset=20)
    by_name, by_number = str(tmp_path / "name.npz"), str(tmp_path / "number.npz")
    for value, out in (("one", by_name), ("1", by_number)):
        assert main(["generate", str(tmp_path), "-n", "2", "--set", f"label={value}", "-o", out]) == 0
    assert np.array_equal(np.load(by_name)["images"], np.load(by_number)["images"])
    assert main(["generate", str(tmp_path), "--set", "label=three"]) == 2
    assert "the classes are zero, one" in capsys.readouterr().err


def test_bench_times_each_graph(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(shipped / "decode.onnx"), "--batch", "1", "3"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["decode", "1"],
        ["decode", "3"],
    ]


def test_too_many_images_at_once_is_no_traceback(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(shipped), "-n", str(2**50)]) == 2
    assert "not enough memory" in capsys.readouterr().err


def test_a_bar_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar("make")
    bar(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar(1, 2)
    bar(2, 2)
    shown = capsys.readouterr().err
    assert "make: 1/2 images, 0 s left" in shown
    assert shown.endswith("\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert capsys.readouterr().out.strip() == genfoundry.__version__


def test_a_reader_that_has_seen_enough_is_no_error(shipped: Path) -> None:
    command = [sys.executable, "-m", "genfoundry.cli", "info", "--json", str(shipped)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


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
