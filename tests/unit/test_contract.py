from __future__ import annotations

import pytest
import torch
from torch import nn

from genfoundry.contract import Graph, Loss, Phase, lazily
from tests.unit import tiny


def test_total_is_the_sum_of_the_terms_alone() -> None:
    terms = {"a": torch.tensor(1.0, requires_grad=True), "b": torch.tensor(2.5)}
    loss = Loss(terms, {"watched": torch.tensor(100.0)})
    assert loss.total == 3.5
    loss.total.backward()
    assert terms["a"].grad == 1


@pytest.mark.parametrize(
    ("phase", "steps"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"every": 3}, [0, 3, 6]),
        ({"start": 2, "stop": 5}, [2, 3, 4]),
        ({"every": 4, "start": 1}, [4]),
        ({"stop": 0}, []),
    ],
)
def test_a_phase_runs_at_its_steps(phase: dict[str, int], steps: list[int]) -> None:
    found = Phase("p", nn.Identity(), lambda _: Loss({}), **phase)
    assert [step for step in range(8) if found.runs_at(step)] == steps


def test_a_lazy_phase_is_as_much_stronger_as_it_is_rarer() -> None:
    watched = {"mean": torch.ones(())}
    phase = Phase("a", nn.Identity(), lambda batch: Loss({"x": torch.tensor(2.0)}, watched))
    (lazy,) = lazily(phase, weight=0.5, every=4)
    assert [step for step in range(9) if lazy.runs_at(step)] == [0, 4, 8]
    loss = lazy.loss({})
    assert (loss.terms, loss.watched, lazy.regularises) == ({"x": torch.tensor(4.0)}, watched, True)
    assert lazily(phase, weight=0.0, every=4) == ()


def test_a_graph_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'dream' is not one of generate, encode"):
        Graph("dream", nn.Identity(), {}, {"image": tiny.DATA.image})
