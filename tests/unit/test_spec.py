from __future__ import annotations

import json

import numpy as np
import pytest

from genfoundry.spec import DataSpec, TensorSpec

RNG = 7


def draw(spec: TensorSpec, **axes: int) -> np.ndarray:
    return spec.draw(np.random.default_rng(RNG), **axes)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (TensorSpec(("batch", 50), "image"), (0.0, 1.0)),
        (TensorSpec(("batch", 50), "uniform", -1.0, 3.0), (-1.0, 3.0)),
        (TensorSpec(("batch", 50), "scalar", 2.0, 4.0), (2.0, 4.0)),
    ],
)
def test_ranged_kinds_fill_their_range(spec: TensorSpec, values: tuple[float, float]) -> None:
    drawn, (low, high) = draw(spec, batch=100), values
    assert drawn.dtype == np.float32
    assert low <= drawn.min() < low + 0.01 * (high - low)
    assert high >= drawn.max() > high - 0.01 * (high - low)


def test_normal_is_standard_normal() -> None:
    drawn = draw(TensorSpec(("batch", 100), "normal"), batch=1000)
    # Five standard errors of 100,000 draws.
    assert abs(drawn.mean()) < 5 / 316
    assert abs(drawn.std() - 1) < 5 / 316


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (TensorSpec(("batch",), "label", high=4.0, dtype="int64"), {0, 1, 2, 3}),
        (TensorSpec(("batch",), "mask"), {0.0, 1.0}),
    ],
)
def test_discrete_kinds_take_each_value(spec: TensorSpec, values: set[float]) -> None:
    drawn = draw(spec, batch=200)
    assert set(drawn.tolist()) == values
    assert drawn.dtype == spec.dtype


def test_value_is_never_drawn() -> None:
    with pytest.raises(ValueError, match="compute it with another graph"):
        draw(TensorSpec(("batch", 2), "value"), batch=1)


def test_a_default_is_taken_where_nobody_asks_for_other() -> None:
    spec = TensorSpec(("batch", 2), "scalar", 0.0, 2.0, default=1.5)
    assert np.array_equal(draw(spec, batch=3), np.full((3, 2), 1.5, np.float32))


def test_dynamic_axes_take_the_sizes_that_are_given_and_a_seed_repeats() -> None:
    spec = TensorSpec(("batch", 3, "height", 5), "image")
    drawn = draw(spec, batch=2, height=7)
    assert drawn.shape == (2, 3, 7, 5)
    assert np.array_equal(drawn, draw(spec, batch=2, height=7))
    with pytest.raises(KeyError):
        draw(spec, batch=2)


def test_a_multiple_of_an_axis_has_that_multiple_of_its_size() -> None:
    spec = TensorSpec(("batch", 3, "4*height", "width", "10*height"), "image")
    assert spec.axes == ("batch", "height", "width")
    assert spec.sizes(batch=2, height=7, width=5) == (2, 3, 28, 5, 70)
    assert draw(spec, batch=2, height=7, width=5).shape == (2, 3, 28, 5, 70)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((1, 3, 8, 5), True), ((9, 3, 0, 1), True), ((1, 3, 7, 5), False), ((1, 2, 8, 5), False), ((1, 3, 8), False)],
)
def test_an_array_fits_whatever_its_dynamic_axes_are(shape: tuple[int, ...], fits: bool) -> None:
    assert TensorSpec(("batch", 3, "2*height", "width"), "image").fits(shape) is fits


@pytest.mark.parametrize(
    "spec",
    [TensorSpec(("batch", 1, "2*height"), "image"), TensorSpec((3,), "label", 0.0, 9.0, "int64", 1.0)],
)
def test_json_round_trip(spec: TensorSpec) -> None:
    assert TensorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_images_are_unit_range_batches() -> None:
    assert DataSpec((3, 4, 5), ("a",)).image == TensorSpec(("batch", 3, 4, 5), "image", 0.0, 1.0, "float32")
