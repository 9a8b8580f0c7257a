from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from genfoundry.data.batches import Split
from genfoundry.metrics import Paired, Sampled, Seen
from genfoundry.metrics.psnr import psnr
from genfoundry.pictures import from_bytes, to_bytes
from genfoundry.tasks import Setting
from genfoundry.tasks.translate import IDENTITY, TASKS, find_cycle, find_error, find_resemblance
from tests.unit import tiny

RNG = np.random.default_rng(0)
DARK, BRIGHT = (RNG.integers(low, low + 100, (12, 1, 4, 4)).astype(np.uint8) for low in (0, 150))
CONFIG = tiny.evaluation()


class Run(dict):
    """Graphs by name, as an artifact has them."""

    about: ClassVar = {"run": "other", "data": {"dataset": "x"}}

    def graph(self, name: str) -> Callable[..., np.ndarray]:
        return self[name]


class Pixels:
    """A judge whose features are the pixels."""

    protocol: ClassVar[dict[str, str]] = {}

    def __init__(self, test: dict[str, np.ndarray]) -> None:
        self._test = test

    def real(self, split: str, images: str) -> Seen:
        return Seen(from_bytes(self._test[images]).reshape(12, -1))

    def see(self, samples: np.ndarray, images: str) -> Sampled:
        return Sampled(Seen(from_bytes(samples).reshape(len(samples), -1)), self.real("test", images))

    def floor(self, count: int, images: str) -> Sampled:
        return self.see(self._test[images][:count], images)


def shifted(amount: float) -> Callable[..., np.ndarray]:
    return lambda image: np.clip(image + np.float32(amount / 255), 0, 1)


def setting(run: Run, rival: Run | None = None, keys: str = "ab", aligned: bool = False) -> Setting:
    arrays = dict(zip(("source", "target") if keys == "pairs" else keys, (DARK, BRIGHT), strict=True))
    prepared: Any = SimpleNamespace(split=lambda _: Split(arrays, aligned))
    reference: Any = Pixels(arrays)
    artifact: Any = run
    return Setting(artifact, prepared, reference, CONFIG, 0, rival=rival)  # type: ignore[arg-type]


BOTH = Run(translate=shifted(150), translate_back=shifted(-140))


@pytest.mark.parametrize("graph", ["translate", "translate_back"])
def test_each_direction_is_seen_among_the_images_of_the_other_domain(graph: str) -> None:
    finding = find_resemblance(graph, setting(BOTH))
    source, target = (DARK, BRIGHT) if graph == "translate" else (BRIGHT, DARK)
    output = to_bytes(BOTH[graph](image=from_bytes(source)))
    value, baseline = finding.roles["value"], finding.roles["baseline"]
    assert np.array_equal(value.samples.features, from_bytes(output).reshape(12, -1))
    assert np.array_equal(value.real.features, from_bytes(target).reshape(12, -1))
    assert np.array_equal(baseline.samples.features, from_bytes(source).reshape(12, -1))
    assert finding.baseline == IDENTITY


@pytest.mark.parametrize(("amount", "baseline"), [(100, "the run other"), (-100, IDENTITY)])
def test_the_baseline_is_the_better_of_no_translation_and_the_rival_s(amount: float, baseline: str) -> None:
    rival = Run(translate=shifted(amount))
    finding = find_resemblance("translate", setting(Run(translate=shifted(150)), rival, "pairs", aligned=True))
    assert finding.baseline == baseline


def test_a_rival_that_does_not_translate_this_way_is_none() -> None:
    rival = Run(translate_back=shifted(100))
    finding = find_resemblance("translate", setting(Run(translate=shifted(150)), rival, "pairs", aligned=True))
    assert finding.baseline == IDENTITY


def test_an_error_is_against_the_true_translation_and_beside_no_translation() -> None:
    finding = find_error("translate", setting(BOTH, keys="pairs", aligned=True))
    for role, output in (("value", from_bytes(DARK) + np.float32(150 / 255)), ("baseline", from_bytes(DARK))):
        expected = psnr(Paired(from_bytes(BRIGHT), output), CONFIG).value
        assert psnr(finding.roles[role], CONFIG).value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("graph", ["translate", "translate_back"])
def test_a_cycle_is_measured_where_it_began(graph: str) -> None:
    finding = find_cycle(graph, setting(BOTH))
    assert psnr(finding.roles["value"], CONFIG).value == pytest.approx(
        -20 * np.log10(10 / 255), abs=1.0
    )  # 150 - 140
    assert psnr(finding.roles["baseline"], CONFIG).value < 8.0


@pytest.mark.parametrize(
    ("run", "aligned", "asked"),
    [
        (Run(translate=None), True, {"translate", "translate_error"}),
        (BOTH, False, {"translate", "translate_back", "cycle", "cycle_back"}),
        (BOTH, True, {task.name for task in TASKS}),
    ],
)
def test_what_is_asked_follows_from_the_graphs_and_the_data(run: Run, aligned: bool, asked: set[str]) -> None:
    keys = "pairs" if run is not BOTH else "ab"
    assert {task.name for task in TASKS if task.applies(setting(run, keys=keys, aligned=aligned))} == asked


@pytest.mark.parametrize(("aligned", "columns"), [(False, 3), (True, 4)])
def test_strips_have_the_way_back_and_the_truth_where_there_are_such(aligned: bool, columns: int) -> None:
    (picture,) = find_resemblance("translate", setting(BOTH, aligned=aligned)).pictures.values()
    assert len(picture.images) == columns * (CONFIG.pictures // 2)
    assert picture.columns is not None
    assert picture.columns % columns == 0
    assert np.array_equal(picture.images[0], DARK[0])
    if aligned:
        assert np.array_equal(picture.images[3], BRIGHT[0])
