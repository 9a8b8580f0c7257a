"""One suite over every family at tiny size. It names no family: `tiny.yaml` has an entry for each."""

from pathlib import Path

import numpy as np
import pytest
import torch

from genfoundry.closure import closure
from genfoundry.contract import DataSpec, GenerativeModel, Phase
from genfoundry.data.degradations import DEGRADATIONS
from genfoundry.data.supply import seen
from genfoundry.export import gate, onnx, variants
from genfoundry.export.variants import Calibration
from genfoundry.models import build, families, family
from genfoundry.params import Data, Export, Gate, ParamsError, Training, read, validate
from genfoundry.pictures import from_bytes
from genfoundry.runtime import golden
from genfoundry.runtime.artifact import Artifact
from genfoundry.spec import VOCABULARY
from genfoundry.training.checkpoint import good
from genfoundry.training.loop import build_optimizers, train, update
from genfoundry.training.runtime import Runtime, seed_step
from genfoundry.training.weights import load_weights, save_weights

DATA = DataSpec((1, 16, 16), tuple("abc"))
TINY = read(Path(__file__).with_name("tiny.yaml"))
GATE = Gate(batches=(1, 2, 7), seeds=1, max_abs=1e-4, mean_abs=1e-5, flips=1e-2, min_spread=1e-6)
FORMS = {"fp16": {"max_abs": 0.1, "mean_abs": 5e-3, "lead": 0.02}, "int8": {"max_abs": 5, "mean_abs": 1, "lead": 1}}
EXPORT = validate(Export, {"opset": 20, "gate": GATE.model_dump(), "calibration": 8, "variants": FORMS})
RUNTIME = Runtime(torch.device("cpu"))
MAX_LINES = 250

every_family = pytest.mark.parametrize("name", families())


def tiny(name: str, seed: int = 0) -> GenerativeModel:
    assert name in TINY, f"tests/contract/tiny.yaml has no entry for {name}"
    torch.manual_seed(seed)
    return build(name, TINY[name]["model"], seen(DATA, data(name)))


def data(name: str) -> Data:
    """How the family sees its images."""
    return Data(dataset="squares", degradations=TINY[name].get("degradations", {"mask": 0.3}))


def config(name: str, **changes: object) -> Training:
    settings = {"steps": 4, "batch_size": 8, "log_every": 2, "sample_every": 2, "checkpoint_every": 2}
    return validate(Training, {**settings, "optimizers": TINY[name]["optimizers"], **changes})


class Supply:
    """Smooth images, and of all that a batch may hold just what the model says it needs."""

    def __init__(self, name: str, shape: tuple[int, int, int] = DATA.shape) -> None:
        self._shape = shape
        self._keys = tiny(name).needs
        self._degradations = data(name).degradations

    def at(self, step: int) -> dict[str, np.ndarray]:
        """A pure function of its step."""
        rng = np.random.default_rng([7, step])
        image, labelled = (smooth(rng, self._shape) for _ in range(2))
        batch = {"image": image, "labelled": labelled, "label": rng.integers(0, 3, 8)}
        for kind, amount in self._degradations.items():
            batch |= DEGRADATIONS[kind](from_bytes(image), amount, rng)
        batch |= {key: smooth(rng, self._shape) for key in ("source", "target", "a", "b")}
        return {key: batch[key] for key in self._keys}


def smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """(8, C, H, W) uint8 in flat squares."""
    depth, height, width = shape
    coarse = rng.integers(0, 256, (8, depth, -(-height // 4), -(-width // 4))).astype(np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]


class Recorder:
    """Keeps what the loop tells."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], float] = {}

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self.points |= {(key, step): value for key, value in values.items()}

    def samples(self, step: int, model: GenerativeModel) -> bool:
        assert not any(parameter.isnan().any() for parameter in model.parameters())
        return True


def fit(name: str, checkpoint: Path, steps: int, **changes: object) -> tuple[GenerativeModel, Recorder]:
    recorder = Recorder()
    model = train(
        tiny(name),
        Supply(name),
        config(name, steps=steps, **changes),
        RUNTIME,
        seed=0,
        checkpoint=checkpoint,
        observer=recorder,
        title=name,
    )
    return model, recorder


def run_phase(name: str, model: GenerativeModel, phase: Phase, steps: int) -> list[float]:
    """One phase alone, on one batch, with the same noise at every step."""
    settings = config(name)
    optimizers = build_optimizers(model.phases(), settings)
    batch = RUNTIME.batch(Supply(name).at(0))
    totals = []
    for _ in range(steps):
        seed_step(0, 0)
        totals.append(phase.loss(batch).total.item())
        seed_step(0, 0)
        update(phase, model, optimizers[phase.optimizer], batch, 0, settings, RUNTIME)
    return totals


@every_family
def test_a_phase_moves_only_what_it_trains_and_nothing_is_left_behind(name):
    """A regularisation need not move all of it: a bias has no part in a slope. Some phase moves each parameter."""
    left = {key for key, _ in tiny(name).named_parameters()}
    for index in range(len(tiny(name).phases())):
        model = tiny(name)
        phase = model.phases()[index]
        before = {key: value.detach().clone() for key, value in model.named_parameters()}
        run_phase(name, model, phase, 1)
        moved = {key for key, parameter in model.named_parameters() if not torch.equal(parameter, before[key])}
        trained = {id(parameter) for parameter in phase.trains.parameters()}
        expected = {key for key, parameter in model.named_parameters() if id(parameter) in trained}
        assert moved <= expected, phase.optimizer
        assert moved == expected or phase.regularises, phase.optimizer
        left -= moved
    assert not left


@every_family
def test_each_phase_overfits_one_batch(name):
    for index in range(len(tiny(name).phases())):
        model = tiny(name)
        totals = run_phase(name, model, model.phases()[index], 60)
        assert min(totals[-5:]) < totals[0] - 0.05 * abs(totals[0])


@every_family
@pytest.mark.parametrize("ema", [None, 0.9])
def test_an_interrupted_run_gives_the_same_bits(name, ema, tmp_path):
    whole, told = fit(name, tmp_path / "whole", 8, ema=ema)
    fit(name, tmp_path / "parts", 4, ema=ema)
    parts, told_later = fit(name, tmp_path / "parts", 8, ema=ema)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key
    assert told_later.points == {k: v for k, v in told.points.items() if k[1] > 4}
    assert good(tmp_path / "whole").read_bytes() == good(tmp_path / "parts").read_bytes()


@every_family
def test_every_graph_ships(name, tmp_path):
    """Trained a little, saved, loaded, exported, through the gate, run as a user runs it."""
    model, _ = fit(name, tmp_path / "checkpoint", 4)
    save_weights(tmp_path / "weights.safetensors", model)
    restored = tiny(name, seed=1)
    load_weights(tmp_path / "weights.safetensors", restored)
    for graph in restored.eval().graphs():
        path = tmp_path / f"{graph.name}.onnx"
        onnx.write(graph, path, {}, 20)
        gate.check(graph, path, GATE)
        shipped = Artifact.load(path).graph(graph.name)
        assert shipped.inputs == graph.inputs
        assert shipped.outputs == graph.outputs
        outputs = shipped(**golden.inputs_of(graph.inputs))
        for output, spec in zip(
            [outputs] if len(graph.outputs) == 1 else outputs.values(), graph.outputs.values(), strict=True
        ):
            assert output.shape == spec.sizes(**golden.example_sizes(graph.axes))
            if spec.kind == "image":
                assert 0.0 <= output.min() <= output.max() <= 1.0
    found = variants.write_all(
        restored.graphs(), tmp_path, Calibration(Artifact.load(tmp_path), Supply(name).at(0)), EXPORT
    )
    graphs = {graph.name for graph in restored.graphs()}
    assert set(found["fp16"]["margins"]) == graphs
    assert set(found["int8"]["margins"]) | set(found["int8"]["refused"]) == graphs


@every_family
def test_graphs_keep_to_the_vocabulary(name):
    graphs = tiny(name).graphs()
    assert graphs
    assert len({graph.name for graph in graphs}) == len(graphs)
    assert {graph.name for graph in graphs} <= set(VOCABULARY)


@every_family
def test_what_evaluation_asks_of_graphs(name):
    """Baselines are as wide as the noise of `generate`, or the latent of `encode`, which `decode` takes alone."""
    graphs = {graph.name: graph for graph in tiny(name).graphs()}
    if "generate" in graphs:
        assert any(spec.kind == "normal" for spec in graphs["generate"].inputs.values())
    if "reconstruct" in graphs:
        assert len(graphs["encode"].outputs["latent"].shape) == 2
    if "decode" in graphs:
        assert graphs["decode"].inputs == graphs["encode"].outputs


@every_family
@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 10, 14), (1, 20, 20), (3, 45, 45)])
def test_images_of_any_size_are_learnt_from_or_refused(name, shape):
    """Before any training: what is wrong is a line with its path."""
    if any(side % data(name).scale for side in shape[1:]):
        pytest.skip("refused already: no whole pixels")
    spec, refused = seen(DataSpec(shape, DATA.classes), data(name)), ""
    try:
        model = build(name, TINY[name]["model"], spec, "runs.x.model")
    except ParamsError as error:
        refused = str(error)
    if refused:
        assert refused.startswith("runs.x.model: ")
        return
    batch = RUNTIME.batch(Supply(name, shape).at(0))
    assert all(phase.loss(batch).total.isfinite() for phase in model.phases())


@every_family
def test_golden_losses(name, tmp_path):
    """The first of each phase: some begin later."""
    steps = 1 + max(phase.start for phase in tiny(name).phases())
    _, recorder = fit(name, tmp_path / "checkpoint", steps)
    points = {key: value for (key, step), value in sorted(recorder.points.items(), reverse=True)}
    found = {key: value for key, value in points.items() if not key.endswith("grad_norm")}
    assert found == pytest.approx(TINY[name]["golden"], rel=2e-3, abs=1e-4)


@every_family
def test_a_family_is_readable_in_one_sitting(name):
    path = Path(f"src/genfoundry/models/{name}.py")
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert family(name).__doc__


@every_family
def test_families_do_not_import_each_other(name):
    path = Path(f"src/genfoundry/models/{name}.py")
    reached = {file.stem for file in closure(path) if file.parent == path.parent}
    assert reached <= {name, "__init__"}


def test_the_suite_has_no_entry_without_a_family():
    assert set(TINY) == set(families())
