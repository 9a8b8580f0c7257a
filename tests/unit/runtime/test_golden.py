from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genfoundry.runtime import golden
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.runtime.container import ArtifactError


@pytest.fixture
def graph(shipped: Path) -> ShippedGraph:
    return Artifact.load(shipped).graph("generate")


def test_a_file_gives_what_it_gave(graph: ShippedGraph) -> None:
    assert graph.verify() == golden.Proof(exact=True, largest=0.0)


@pytest.mark.parametrize(("shift", "exact"), [(0.0, True), (2e-5, False), (2e-3, None)])
def test_rounding_is_forgiven_and_no_more(graph: ShippedGraph, shift: float, exact: bool | None) -> None:
    """Another machine adds in another order."""
    record = graph.about["golden"]["outputs"]["image"]
    moved = {"values": [v + shift for v in record["values"]], "sha256": record["sha256"] if exact else "0" * 64}
    about = {**graph.about, "golden": {"seed": 0, "outputs": {"image": moved}}}
    container = replace(graph.container, about=about)
    if exact is None:
        with pytest.raises(ArtifactError, match=r"another image here than .* exported, 0\.002 away"):
            golden.prove(container, graph.path)
    else:
        proof = golden.prove(container, graph.path)
        assert proof.exact == exact
        assert proof.largest == pytest.approx(shift, abs=1e-9)


def test_the_values_on_record_are_of_the_whole_output() -> None:
    assert golden.spread(np.arange(22, dtype=np.float32)).tolist() == [0, 3, 6, 9, 12, 15, 18, 21]
    assert golden.spread(np.zeros(1, np.float32)).shape == (golden.VALUES,)


def test_a_digest_is_of_the_numbers_in_any_layout() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert golden.digest(array) == golden.digest(array.astype(">f4")) == golden.digest(np.asfortranarray(array))
    assert golden.digest(array) != golden.digest(array + 1)


def test_a_file_that_takes_too_long_is_left(graph: ShippedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "SECONDS", 1e-9)
    monkeypatch.setattr(golden, "BYTES_A_SECOND", 1e30)
    with pytest.raises(ArtifactError, match="took longer than"):
        [graph.verify() for _ in range(200)]  # a run may end before its timer begins
