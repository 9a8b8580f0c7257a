from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from genfoundry.check import check_all
from genfoundry.params import ParamsError

TINY = "runs__tiny"


def test_a_valid_file_passes(params_file: Callable[..., Path]) -> None:
    assert set(check_all(params_file()).runs) == {"tiny"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({f"{TINY}__family": "vea"}, "runs.tiny.family: unknown family 'vea'; there are "),
        ({f"{TINY}__model__latent_din": 3}, "runs.tiny.model.latent_din: unknown key; did you mean 'latent_dim'?"),
        ({f"{TINY}__model__latent_dim": 0}, "runs.tiny.model.latent_dim: "),
        ({f"{TINY}__model__likelihood": None}, "runs.tiny.model.likelihood: "),
        (
            {f"{TINY}__training__optimizers": {"generator": {"lr": 1e-3}}},
            "runs.tiny.training.optimizers: vae needs exactly ['vae'], there are ['generator']",
        ),
        (
            {
                "datasets__dots__shape": [4, 8, 8],
                "datasets__dots__judge": {"extractor": "efficientnet_lite0", "size": 96},
            },
            "datasets.dots.shape: an extractor takes grey or RGB images, these have 4 channels",
        ),
    ],
)
def test_a_family_s_own_demand_is_one_line_with_its_path(
    params_file: Callable[..., Path], changes: dict[str, object], line: str
) -> None:
    with pytest.raises(ParamsError) as error:
        check_all(params_file(**changes))
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_each_wrong_run_has_its_line(params_file: Callable[..., Path]) -> None:
    from tests.unit import tiny

    wrong = {**tiny.params_tree()["runs"]["tiny"], "family": "nothing"}
    with pytest.raises(ParamsError) as error:
        check_all(params_file(runs={"one": wrong, "two": wrong}))
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["runs.one.family", "runs.two.family"]


def test_images_of_an_odd_size_are_a_model_or_a_line(params_file: Callable[..., Path]) -> None:
    with contextlib.suppress(ParamsError):
        check_all(params_file(datasets__dots__shape=[1, 9, 9]))
