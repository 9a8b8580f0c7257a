"""The pipeline, run by DVC for real at smoke size."""

import csv
import json
import subprocess
import sys
import time

import pytest

from genfoundry.workspace import target
from tests.pipeline.conftest import ENVIRONMENT, LOG, executed

pytestmark = [pytest.mark.pipeline, pytest.mark.xdist_group("pipeline")]

CHAIN = ("train", "export", "evaluate", "package")
OVERHEAD_S = 6.0

NEW_FAMILY = '''"""A linear autoencoder, as a user would add it."""

from pydantic import PositiveInt
from torch import nn

from genfoundry.contract import Batch, DataSpec, GenerativeModel, Graph, Loss, Phase, TensorSpec
from genfoundry.losses import squared_error
from genfoundry.params import Strict


class Linear(GenerativeModel):
    """Two matrices."""

    class Params(Strict):
        """Only the width of the code."""

        latent_dim: PositiveInt

    def __init__(self, params: Params, data: DataSpec) -> None:
        super().__init__(params, data)
        self.data, self.latent_dim = data, params.latent_dim
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(data.shape[1] * data.shape[2], params.latent_dim))
        self.decoder = nn.Sequential(nn.Linear(params.latent_dim, data.shape[1] * data.shape[2]), nn.Sigmoid(),
                                     nn.Unflatten(1, data.shape))

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("linear", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """Squared error."""
        error = squared_error(batch["image"], self.decoder(self.encoder(batch["image"])))
        return Loss({"error": error.mean()})

    def graphs(self) -> tuple[Graph, ...]:
        """Encoder, and both."""
        image, latent = self.data.image, TensorSpec(("batch", self.latent_dim), "value")
        both = nn.Sequential(self.encoder, self.decoder)
        return (
            Graph("encode", self.encoder, {"image": image}, {"latent": latent}),
            Graph("reconstruct", both, {"image": image}, {"reconstruction": image}),
        )
'''


def listed(workspace):
    """Runs on the leaderboard."""
    with (workspace.path / "reports/leaderboard.csv").open(newline="") as stream:
        return {row["run"] for row in csv.DictReader(stream)}


def chain(*runs: str) -> set[str]:
    return {f"{stage}@{run}" for run in runs for stage in CHAIN}


def test_every_artifact_is_there(built):
    runs = ("autoencoder", "vae", "gan", "dcgan")
    for dataset in ("mnist", "fashion_mnist"):
        assert (built.path / f"data/prepared/{dataset}/train_images.npy").exists()
        assert built.json(f"judges/{dataset}/extractor.json")["accuracy"] > 0.5
    for run in runs:
        for file in ("weights.safetensors", "run.json"):
            assert (built.path / f"models/{run}/{file}").exists()
        shipped = built.json(f"dist/{run}/card.json")["graphs"]
        assert shipped
        for graph in shipped.values():
            name = graph["file"]
            assert (built.path / f"dist/{run}/{name}").read_bytes() == (
                built.path / f"onnx/{run}/{name}"
            ).read_bytes()
        variants = built.json(f"metrics/{run}.variants.json")
        assert {name for name, entry in variants.items() if entry["ships"]} == {
            path.parent.name for path in built.path.glob(f"dist/{run}/*/card.json")
        }
        assert variants["fp16"]["ships"]
        scores = built.json(f"metrics/{run}.json")
        assert set(scores) == set(built.json(f"metrics/{run}.protocol.json"))
        assert all(isinstance(number, float) for roles in scores.values() for number in roles.values())
        for stage in CHAIN:
            assert built.journal(run, stage)[-1]["kind"] == "end"
    html = (built.path / "reports/index.html").read_text()
    assert all(f'id="{run}"' in html for run in runs)
    assert "src=" in html
    assert html.count("<td>fp16</td>") == len(runs)
    assert 'src="http' not in html
    first = (built.path / LOG).read_text()
    assert "mnist · generate" in first
    assert "reports/index.html" in first


def test_a_second_repro_runs_nothing_and_costs_little(workspace):
    workspace.repro()  # fills this copy's own MLflow
    alone, dvc_s = quicker(lambda: workspace.dvc("repro"))
    second, repro_s = quicker(workspace.repro)
    assert repro_s - dvc_s < OVERHEAD_S
    assert executed(alone) == executed(second) == set()
    assert second.returncode == 0


def test_dvc_alone_gives_the_same_bits_whatever_threads_there_are(workspace):
    before = workspace.weights("vae")
    done = workspace.dvc("repro", "--force", "--single-item", target("train", "vae"), OMP_NUM_THREADS="2")
    assert executed(done) == {"train@vae"}
    assert workspace.weights("vae") == before


def quicker(work):
    """The same thing twice, and the shorter of both times: other tests run beside this one."""
    times = []
    for _ in range(2):
        start = time.monotonic()
        done = work()
        times.append(time.monotonic() - start)
    return done, min(times)


def test_a_parameter_of_one_run_reruns_its_chain_alone(workspace):
    workspace.params(**{"runs.vae.model.latent_dim": 5})
    assert executed(workspace.repro()) == {"validate", *chain("vae"), "report"}
    assert workspace.json("models/vae/run.json")["model"]["latent_dim"] == 5


def test_code_of_one_family_reruns_its_chain_alone(workspace):
    workspace.append("src/genfoundry/networks/only_vae.py", '"""Nothing yet."""\n')
    workspace.append("src/genfoundry/models/vae.py", "\nimport genfoundry.networks.only_vae  # noqa: E402, F401\n")
    assert executed(workspace.repro()) == {"validate", "sources", *chain("vae"), "report"}
    workspace.append("src/genfoundry/networks/only_vae.py", "\nWIDTH = 3\n")
    workspace.dvc("repro", "sources")
    status = workspace.dvc("status", "--json")
    changed = {name.rpartition(":")[2] for name in json.loads(status.stdout)} - {"validate"}
    assert changed == {"train@vae", "export@vae"}


def test_a_removed_run_leaves_the_report(workspace):
    workspace.params(**{"runs.gan": None})
    done = workspace.repro()
    assert executed(done) == {"validate", "report"}
    assert "gan" not in listed(workspace)
    assert 'id="gan"' not in (workspace.path / "reports/index.html").read_text()


def test_a_gate_that_fails_stops_neither_the_others_nor_the_report(workspace):
    workspace.params(**{"runs.autoencoder.model.latent_dim": 5})
    path = workspace.path / "src/genfoundry/models/gan.py"
    path.write_text(
        path.read_text().replace('Graph("generate", self.generator,', 'Graph("generate", Noisy(self.generator),')
        + "\n\nclass Noisy(nn.Sequential):\n"
        + "    def forward(self, x):\n        return super().forward(x) * torch.rand(1)\n"
    )
    done = workspace.repro()
    assert done.returncode != 0
    assert "randomness must enter as an input" in done.stderr
    assert executed(done) >= chain("autoencoder") | {"train@gan", "export@gan"}
    assert not (workspace.path / "onnx/gan").exists()
    assert listed(workspace) == {"autoencoder", "vae", "dcgan"}
    assert "not evaluated: gan" in done.stdout


def test_a_new_family_needs_a_file_and_an_entry(workspace):
    workspace.append("src/genfoundry/models/linear.py", NEW_FAMILY)
    entry = {
        "family": "linear",
        "weights": "none",
        "data": {"dataset": "mnist"},
        "model": {"latent_dim": 8},
        "training": {"steps": 40, "batch_size": 64, "log_every": 20, "sample_every": 20, "checkpoint_every": 20},
        "evaluation": {"rival": "linear", "perceptual": "none"},
    }
    entry["training"]["optimizers"] = {"linear": {"lr": 0.002}}
    workspace.params(**{"runs.linear": entry})
    done = workspace.repro()
    assert done.returncode == 0
    assert executed(done) == {"validate", "sources", *chain("linear"), "report"}
    assert {"encode.onnx", "reconstruct.onnx"} <= {p.name for p in (workspace.path / "dist/linear").iterdir()}
    assert "linear" in (workspace.path / "reports/leaderboard.csv").read_text()


def test_named_runs_alone(workspace):
    workspace.params(**{"runs.vae.model.latent_dim": 6, "runs.gan.model.noise_dim": 6})
    done = workspace.repro("vae")
    assert executed(done) - {"report"} == {"validate", *chain("vae")}
    assert workspace.repro("nonsense").returncode != 0


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("runs.vae.model.latent_dims", 5, "runs.vae.model.latent_dims: unknown key; did you mean 'latent_dim'?"),
        (
            "runs.vae.training.batch_size",
            0,
            "runs.vae.training.batch_size: Input should be greater than or equal to 2",
        ),
        ("runs.vae.model.latent_dim", "many", "runs.vae.model.latent_dim: Input should be a valid integer"),
        ("runs.vae.family", "vea", "runs.vae.family: unknown family 'vea'"),
        (
            "runs.vae.training.optimizers.vea",
            {"lr": 0.1},
            "runs.vae.training.optimizers: vae needs exactly ['vae']",
        ),
        ("runs.vae.data.dataset", "cats", "runs.vae.data.dataset: 'cats' is not one of mnist, fashion_mnist"),
        ("runs.vae.family", None, "runs.vae.family: Field required"),
    ],
)
def test_a_mistake_in_params_is_one_line_before_any_stage(workspace, key, value, line):
    workspace.params(**{key: value})
    done = workspace.repro()
    assert done.returncode != 0
    assert executed(done) == set()
    said = [text for text in done.stderr.splitlines() if text.strip()]
    assert len(said) == 1
    assert said[0].startswith(line)


def test_dvc_alone_stops_at_a_mistake_too(workspace):
    workspace.params(**{"runs.vae.model.latent_dim": -1})
    done = workspace.dvc("repro")
    assert done.returncode != 0
    assert executed(done) == {"validate"}
    assert "runs.vae.model.latent_dim: Input should be greater than 0 (got -1)" in done.stderr


def test_plots_and_metrics_are_dvcs_too(built):
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "history/vae.csv", "--json"],
        cwd=built.path, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {"vae/nll", "vae/kl"} <= {point["term"] for point in _points(json.loads(shown.stdout))}
    metrics = built.dvc("metrics", "show", "--json")
    assert "metrics/vae.json" in metrics.stdout


def _points(tree: object) -> list[dict]:
    """All datapoints in DVC's answer, wherever its version keeps them."""
    if isinstance(tree, dict):
        own = [tree] if "term" in tree and "step" in tree else []
        return own + [point for value in tree.values() for point in _points(value)]
    if isinstance(tree, list):
        return [point for value in tree for point in _points(value)]
    return []
