from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from genfoundry.files import read_json, write_json
from genfoundry.pictures import png
from genfoundry.report.stage import _expression, report, usage
from genfoundry.runtime.artifact import Artifact
from genfoundry.spec import TensorSpec
from tests.unit import tiny
from tests.unit.conftest import VARIANTS, write_params
from tests.unit.report.test_leaderboard import evaluated


@pytest.mark.parametrize("graph", ["generate", "reconstruct", "encode", "decode"])
def test_the_five_lines_run(workspace: Path, shipped: Path, graph: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(shipped, "dist/tiny")
    code = usage("tiny", Artifact.load(shipped / f"{graph}.onnx"))
    assert len(code.splitlines()) == 5
    exec(compile(code, "usage", "exec"), {})
    promised = code.splitlines()[-1].partition("# ")[2]
    assert capsys.readouterr().out.strip().strip("()").rstrip(",") == promised.strip("()").rstrip(",")


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec(("batch", 3), "normal"),
        TensorSpec(("batch",), "label", high=4, dtype="int64"),
        TensorSpec(("batch", 1, 4, 4), "image"),
        TensorSpec(("batch", 1, "height", "2*width"), "mask"),
        pytest.param(
            TensorSpec(("batch", 3), "uniform", -5.0, -4.0),
        ),
        pytest.param(
            TensorSpec(("batch", 1), "scalar", 2.0, 3.0),
        ),
        pytest.param(TensorSpec(("batch",), "scalar", default=0.7), id="default"),
    ],
    ids=lambda spec: spec.kind,
)
def test_an_example_input_is_one_that_the_spec_allows(spec: TensorSpec) -> None:
    value = eval(_expression(spec), {"rng": np.random.default_rng(0), "np": np})
    assert spec.fits(value.shape)
    assert len(value) == 16
    assert value.dtype == spec.dtype
    if spec.kind != "normal":
        assert spec.low <= value.min() <= value.max() <= spec.high


def test_report_is_one_file_that_holds_each_run(workspace: Path, shipped: Path) -> None:
    shutil.copytree(shipped, "onnx/tiny")
    content = Path("onnx/tiny/generate.onnx").read_bytes()
    evaluated(workspace, "tiny", fid=3.0)
    Path("onnx/tiny/generate.onnx").write_bytes(content)
    protocol = read_json(Path("metrics/tiny.protocol.json"))
    from genfoundry.files import sha256

    write_json(
        Path("metrics/tiny.protocol.json"),
        {metric: {**words, "file_sha256": sha256(content)} for metric, words in protocol.items()},
    )
    margins = {graph: {"max_abs": 1e-6, "mean_abs": 1e-7, "flips": 0.0} for graph in Artifact.load(shipped)}
    write_json(Path("onnx/tiny/gate.json"), {"limits": tiny.GATE.model_dump(), "margins": margins})
    write_json(Path("metrics/tiny.variants.json"), VARIANTS)
    Path("plots/tiny/variants.csv").write_text("variant,batch_1_ms,batch_64_ms\nfp32,0.111,2.222\nfp16,0.1,2.1\n")
    Path("plots/tiny/generate.png").write_bytes(png(np.zeros((4, 4, 1), np.uint8)))
    write_json(Path("plots/tiny/pictures.json"), [{"name": "generate", "caption": "Samples", "wide": False}])
    Path("plots/tiny/classes.csv").write_text("class,samples,real\nzero,0.25,0.5\none,0.75,0.5\n")
    Path("plots/tiny/modes_over_time.csv").write_text("step,modes,class_kl,zero,one\n20,2,0.1,0.25,0.75\n")
    Path("history/tiny.csv").write_text("step,term,value\n1,vae/nll,2.0\n2,vae/nll,1.0\n")
    report()
    html = Path("reports/index.html").read_text()
    assert 'id="tiny"' in html
    assert "data:image/png;base64," in html
    assert html.count('<a href="#tiny">') == 3  # its card, its board, its smaller files
    assert "vae/nll" in html
    assert "share of each class" in html
    assert "reconstruct.onnx" in html or "generate.onnx" in html
    told = ("2.222", "51 % of fp32", "+0.5 ± 0.1", "1.0 % of the lead", "✗ max_abs 2 is over 1")
    assert all(words in html for words in told)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert Path("reports/leaderboard.csv").read_text().count("\n") == 3
    assert Path("reports/leaderboard.md").read_text().count("| tiny |") == 1
    report()
    assert Path("reports/index.html").read_text() == html
    assert "the state of step" not in html
    write_params(workspace, tiny.params_tree(runs__tiny__training__steps=8))
    report()
    assert "the state of step" not in Path("reports/index.html").read_text()  # of a training that is yet to be
    with Path("history/tiny.csv").open("a") as history:
        history.write("8,vae/nll,1.0\n")
    report()
    assert "the state of step 4" in Path("reports/index.html").read_text()
