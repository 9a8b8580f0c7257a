from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genfoundry.contract import Graph, Learner, Loss, Phase
from genfoundry.params import Optimizer, Training
from genfoundry.training.checkpoint import good, step_of
from genfoundry.training.loop import TrainingDiverged, Window, build_optimizers, learning_rate, train, update
from genfoundry.training.runtime import Runtime
from tests.unit import tiny

CPU = Runtime(torch.device("cpu"))
IMAGES = np.random.default_rng(0).integers(0, 256, (32, *tiny.SHAPE)).astype(np.uint8)


class Supply:
    def at(self, step: int) -> Mapping[str, np.ndarray]:
        return {"image": IMAGES[np.random.default_rng(step).permutation(32)[:4]]}


class Notes:
    """What the loop said."""

    def __init__(self) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.shown: list[tuple[int, Learner]] = []
        self.good: set[int] = set()  # steps whose samples it finds good

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.points.append((step, dict(values)))

    def samples(self, step: int, model: Learner) -> bool:
        self.shown.append((step, model))
        return step in self.good


def run(model: Learner, folder: Path, config: Training, notes: Notes | None = None, seed: int = 0) -> Learner:
    return train(
        model,
        Supply(),
        config,
        CPU,
        seed=seed,
        checkpoint=folder / "checkpoint",
        observer=notes or Notes(),
        title="test",
    )


def net() -> tiny.Net:
    torch.manual_seed(0)
    return tiny.Net()


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


class Players(Learner):
    """Two parts and, by `phases_of`, any phases over them; gradients are constant and large."""

    def __init__(self, phases_of: Callable[[Players], tuple[Phase, ...]]) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
        self._phases_of = phases_of
        self.seen: list[int] = []

    def pull(self, batch: Any) -> Loss:
        return Loss({"pull": 1000 * (self.a.weight + self.b.weight).sum()})

    def phases(self) -> tuple[Phase, ...]:
        return self._phases_of(self)

    def graphs(self) -> tuple[Graph, ...]:
        return ()


@pytest.mark.parametrize(
    ("schedule", "shape"),
    [
        ("constant", lambda t: 1.0),
        ("linear", lambda t: 1 - t),
        ("cosine", lambda t: math.cos(math.pi * t / 2) ** 2),
    ],
)
def test_learning_rate_follows_its_schedule_to_nearly_zero(schedule: Any, shape: Callable[[float], float]) -> None:
    config = Optimizer(lr=0.3, schedule=schedule)
    rates = [learning_rate(config, step, 200) for step in range(200)]
    assert rates == pytest.approx([0.3 * shape(step / 200) for step in range(200)], abs=1e-12)
    assert rates[0] == 0.3


def test_warmup_rises_in_a_line_and_then_leaves_the_schedule_alone() -> None:
    warm, plain = Optimizer(lr=0.1, warmup=10), Optimizer(lr=0.1)
    rates = [learning_rate(warm, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * (step + 1) for step in range(10)])
    assert rates[10:] == [learning_rate(plain, step, 100) for step in range(10, 100)]


def test_the_rate_of_the_step_is_what_moves_the_weights(tmp_path: Path) -> None:
    model = Players(lambda m: (Phase("net", m.a, m.pull),))
    before = model.a.weight.detach().clone()
    steps = 8
    sgd = Optimizer(name="sgd", lr=1e-3, betas=(0.0, 0.0), schedule="linear", warmup=4)
    config = tiny.training(steps=steps, optimizers={"net": sgd})
    run(model, tmp_path, config)
    moved = sum(1000 * learning_rate(config.optimizers["net"], step, steps) for step in range(steps))
    torch.testing.assert_close(before - model.a.weight, torch.full((1, 2), moved))


def test_only_what_a_phase_trains_moves(tmp_path: Path) -> None:
    model = Players(lambda m: (Phase("net", m.a, m.pull),))
    a, b = model.a.weight.detach().clone(), model.b.weight.detach().clone()
    run(model, tmp_path, tiny.training())
    assert torch.equal(model.b.weight, b)
    assert not torch.equal(model.a.weight, a)


def test_a_frozen_part_gets_no_gradient_but_lets_it_through() -> None:
    class Chain(Players):
        def pull(self, batch: Any) -> Loss:
            return Loss({"pull": self.b(self.a.weight).sum()})

    model = Chain(lambda m: (Phase("net", m.a, m.pull),))
    (phase,) = model.phases()
    optimizers = build_optimizers((phase,), tiny.training())
    update(phase, model, optimizers["net"], {}, 0, tiny.training(), CPU)
    assert model.b.weight.grad is None
    assert torch.equal(model.a.weight.grad, model.b.weight)


def test_a_lazy_phase_runs_from_start_to_stop_every_so_often(tmp_path: Path) -> None:
    steps: dict[str, list[int]] = {"lazy": [], "always": []}
    clock = iter(range(100))

    def phases(model: Players) -> tuple[Phase, ...]:
        def note(name: str) -> Callable[[Any], Loss]:
            def loss(_: Any) -> Loss:
                if name == "always":
                    next_step = next(clock)
                    steps[name].append(next_step)
                else:
                    steps[name].append(len(steps["always"]) - 1)
                return Loss({"l": model.a.weight.sum()})

            return loss

        return (
            Phase("net", model.a, note("always")),
            Phase("net", model.a, note("lazy"), every=3, start=4, stop=12),
        )

    run(Players(phases), tmp_path, tiny.training(steps=16))
    assert steps == {"always": list(range(16)), "lazy": [6, 9]}


def test_phases_that_share_an_optimizer_share_its_parameters_once() -> None:
    model = Players(lambda m: (Phase("net", m.a, m.pull), Phase("net", m, m.pull)))
    optimizer = build_optimizers(model.phases(), tiny.training())["net"]
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 2


@pytest.mark.parametrize(("clip", "length"), [(0.5, 0.5), (None, 1000 * math.sqrt(2))])
def test_clipping_bounds_the_norm_of_what_is_applied(clip: float | None, length: float) -> None:
    model = Players(lambda m: (Phase("net", m.a, m.pull),))
    sgd = {"net": Optimizer(name="sgd", lr=1.0, betas=(0.0, 0.0))}
    config = tiny.training(optimizers=sgd, grad_clip=clip)
    (phase,) = model.phases()
    before = model.a.weight.detach().clone()
    scalars = update(phase, model, build_optimizers((phase,), config)["net"], {}, 0, config, CPU)
    assert float((model.a.weight.detach() - before).norm()) == pytest.approx(length, rel=1e-4)
    assert float(scalars["net/grad_norm"]) == pytest.approx(1000 * math.sqrt(2), rel=1e-5)


def test_a_regularisation_of_every_step_has_a_norm_of_its_own(tmp_path: Path) -> None:
    class Regularised(tiny.Net):
        def phases(self) -> tuple[Phase, ...]:
            (phase,) = super().phases()
            return phase, replace(phase, regularises=True)

    notes = Notes()
    run(Regularised(), tmp_path, tiny.training(steps=1, log_every=1), notes)
    assert {"net/grad_norm", "net/lazy_grad_norm"} <= set(notes.points[0][1])


@pytest.mark.parametrize("bad", [5, 6, 7])
@pytest.mark.parametrize(("where", "value"), [("terms", math.nan), ("watched", math.inf)])
def test_the_first_value_that_is_not_finite_is_named(tmp_path: Path, bad: int, where: str, value: float) -> None:
    class Explodes(tiny.Net):
        calls = 0

        def loss(self, batch: Any) -> Loss:
            loss, step = super().loss(batch), self.calls
            self.calls += 1
            extra = torch.tensor(value if step >= bad else 0.0)
            getattr(loss, where)["odd"] = extra
            return loss

    notes = Notes()
    with pytest.raises(TrainingDiverged, match=rf"^phase 'net', term 'odd', step {bad}: (nan|inf)"):
        run(Explodes(), tmp_path, tiny.training(steps=16, log_every=4, sample_every=4, checkpoint_every=4), notes)
    assert [step for step, _ in notes.points] == [4]
    resumed = Notes()
    run(net(), tmp_path, tiny.training(steps=8, log_every=4, sample_every=4, checkpoint_every=4), resumed)
    assert [step for step, _ in resumed.points] == [8]


def test_means_are_over_the_steps_since_the_last() -> None:
    window = Window()
    for step, value in enumerate([1.0, 2.0, 6.0]):
        window.add(step, {"p/a": torch.tensor(value)})
    window.add(2, {"p/b": torch.tensor(5.0, dtype=torch.bfloat16)})
    assert window.flush() == {"p/a": 3.0, "p/b": 5.0}
    window.add(3, {"p/a": torch.tensor(10.0)})
    assert window.flush() == {"p/a": 10.0}
    assert window.flush() == {}


def test_the_observer_hears_at_its_intervals_and_at_the_end(tmp_path: Path) -> None:
    notes = Notes()
    run(net(), tmp_path, tiny.training(steps=7, log_every=2, sample_every=4, checkpoint_every=2), notes)
    assert [step for step, _ in notes.points] == [2, 4, 6, 7]
    assert [step for step, _ in notes.shown] == [4, 7]
    assert set(notes.points[0][1]) == {"net/error", "net/helper", "net/grad_norm"}


@pytest.mark.parametrize(("found", "kept"), [({4}, 4), ({2, 4}, 4), ({4, 8}, 8), (set(), 0)])
def test_the_last_state_that_was_found_good_is_kept_whole(tmp_path: Path, found: set[int], kept: int) -> None:
    notes = Notes()
    notes.good = found
    config = tiny.training(steps=8, sample_every=2, checkpoint_every=8)
    run(net(), tmp_path, config, notes)
    place = good(tmp_path / "checkpoint")
    assert step_of(place) == kept
    if kept:
        resumed = tmp_path / "resumed"
        resumed.mkdir()
        (resumed / "checkpoint").write_bytes(place.read_bytes())
        assert_same(state(run(net(), tmp_path, config)), state(run(tiny.Net(), resumed, config)))


FULL = {"steps": 8, "ema": 0.5, "grad_clip": 1.0}


class Stop(Exception):
    """A kill in mid-training."""


class StopAt(Notes):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        super().metrics(step, values)
        if step == self.step:
            raise Stop


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("stop", [2, 6, 8])
def test_a_resumed_training_ends_with_the_same_bits(
    tmp_path: Path, optimizer: Any, ema: float | None, stop: int
) -> None:
    optimizers = {"net": Optimizer(name=optimizer, lr=1e-2, schedule="cosine", warmup=3)}
    config = tiny.training(steps=8, ema=ema, optimizers=optimizers)
    whole, first, second = Notes(), StopAt(stop), Notes()
    model = net()
    straight = run(model, tmp_path / "straight", config, whole)
    with pytest.raises(Stop):
        run(net(), tmp_path / "broken", config, first)
    torch.manual_seed(12345)
    resumed_model = tiny.Net()  # other weights: all must come from the checkpoint
    if stop == 2:  # killed before the first checkpoint, so it starts again
        resumed_model = net()
    resumed = run(resumed_model, tmp_path / "broken", config, second)
    assert_same(state(straight), state(resumed))
    assert_same(state(model), state(resumed_model))
    assert dict(whole.points).items() == (dict(first.points) | dict(second.points)).items()


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    done, notes = run(net(), tmp_path, tiny.training()), Notes()
    again = run(tiny.Net(), tmp_path, tiny.training(), notes)
    assert_same(state(done), state(again))
    assert notes.points == notes.shown == []


def test_seeds_differ_and_repeat(tmp_path: Path) -> None:
    a, b, c = (state(run(net(), tmp_path / str(i), tiny.training(), seed=seed)) for i, seed in enumerate((1, 1, 2)))
    assert_same(a, b)
    assert not torch.equal(a["head.weight"], c["head.weight"])


def test_ema_is_the_average_of_the_weights_and_takes_the_buffers_as_they_are(tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []

    class Watch(Notes):
        def metrics(self, step: int, values: Mapping[str, float]) -> None:
            seen.append(state(model))

    model = net()
    config = tiny.training(steps=5, ema=0.7, log_every=1, sample_every=1, checkpoint_every=5)
    shipped = run(model, tmp_path, config, Watch())
    expected = copy.deepcopy(seen[0])
    for weights in seen[1:]:
        expected = {
            k: 0.7 * expected[k] + 0.3 * w if k in dict(model.named_parameters()) else w for k, w in weights.items()
        }
    assert shipped is not model
    torch.testing.assert_close(state(shipped), expected)


def test_without_ema_the_model_itself_ships(tmp_path: Path) -> None:
    model = net()
    assert run(model, tmp_path, tiny.training()) is model


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    notes = Notes()
    run(net(), tmp_path, tiny.training(steps=200, log_every=50, sample_every=50, checkpoint_every=50), notes)
    losses = [values["net/error"] for _, values in notes.points]
    assert losses[-1] < losses[0] / 5
