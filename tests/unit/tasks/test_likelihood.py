from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genfoundry.contract import Graph, TensorSpec
from genfoundry.export import onnx
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.tasks import Setting
from genfoundry.tasks.likelihood import STRATUM, asked, drawn, find, strata
from tests.unit import tiny

IMAGE = TensorSpec(("batch", *tiny.DATA.shape), "image")
NOISE = TensorSpec(("batch", *tiny.DATA.shape), "normal")
TIME = TensorSpec(("batch",), "uniform")
COUNT = 95


class Steep(nn.Module):
    """A bound that falls off a cliff at time 0.05."""

    def forward(self, image: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        return image.flatten(1).mean(dim=1) + 0.01 * noise.flatten(1).mean(dim=1) - 1000.0 * (time < 0.05)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> ShippedGraph:
    folder = tmp_path_factory.mktemp("steep")
    inputs = {"image": IMAGE, "noise": NOISE, "time": TIME}
    steep = Graph("elbo", Steep().eval(), inputs, {"elbo": TensorSpec(("batch",), "value")})
    onnx.write(steep, folder / "elbo.onnx", tiny.ABOUT, opset=20)
    return Artifact.load(folder).graph("elbo")


def test_times_cover_their_range_evenly(graph: ShippedGraph) -> None:
    noise = drawn(graph, 0, COUNT)
    places = np.sort((noise["time"].astype(np.float64) * COUNT + 1e-4).astype(int))
    assert np.array_equal(places, np.arange(COUNT))
    assert not np.array_equal(np.argsort(noise["time"]), np.arange(COUNT))  # whatever order the images are in
    assert np.array_equal(noise["noise"], drawn(graph, 0, COUNT)["noise"])


def test_the_terms_of_a_sum_are_all_asked_for(graph: ShippedGraph) -> None:
    """A twentieth of the images is over the cliff at every seed; at random, it would be 1 to 9 of 95."""
    rows = {"image": np.zeros((COUNT, *tiny.DATA.shape), np.uint8)}
    for seed in range(5):
        nats = asked(graph, rows, drawn(graph, seed, COUNT))
        assert nats.mean() == pytest.approx(-50.0, abs=1000.0 / COUNT + 0.1)


def test_strata_are_of_neighbours_in_time(graph: ShippedGraph) -> None:
    noise = drawn(graph, 0, COUNT)
    found = strata(graph, noise)
    assert found is not None
    assert np.bincount(found).min() >= STRATUM - 1
    assert (np.diff(found[np.argsort(noise["time"])]) >= 0).all()


def test_few_images_are_one_stratum(graph: ShippedGraph) -> None:
    found = strata(graph, drawn(graph, 0, 3))
    assert found is not None
    assert not found.any()


def test_without_a_time_there_are_no_strata(one_class: Path) -> None:
    bound = Artifact.load(one_class).graph("elbo")
    assert strata(bound, drawn(bound, 0, 4)) is None


def test_a_bound_given_the_class_is_not_ranked_with_one_that_guesses_it(
    setting_of: Callable[[Path], Setting], one_class: Path, labelled: Path
) -> None:
    found = [find("elbo", setting_of(folder)).protocol["conditions"] for folder in (one_class, labelled)]
    assert found == ["2 levels", "2 levels, given the class"]


def test_noise_does_not_depend_on_what_was_drawn_before(graph: ShippedGraph) -> None:
    torch.manual_seed(5)
    assert all(np.array_equal(drawn(graph, 1, 8)[name], drawn(graph, 1, 8)[name]) for name in ("noise", "time"))
