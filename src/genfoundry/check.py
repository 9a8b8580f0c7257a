"""All of params.yaml against the families' own demands, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from genfoundry.contract import DataSpec
from genfoundry.models import build
from genfoundry.params import PARAMS, Params, ParamsError, Run, load


def check_all(file: Path = PARAMS) -> Params:
    """The valid content of params.yaml.

    Raises:
        ParamsError: one line for each mistake, with its dotted path.
    """
    params = load(file)
    mistakes = list(_mistakes(params))
    if mistakes:
        raise ParamsError("\n".join(mistakes))
    return params


def _mistakes(params: Params) -> Iterator[str]:
    for name, run in params.runs.items():
        dataset = params.datasets[run.data.dataset]
        try:
            check_run(name, run, DataSpec(dataset.shape, dataset.classes))
        except ParamsError as error:
            yield str(error)


def check_run(name: str, run: Run, data: DataSpec) -> None:
    """Everything about a run that can be wrong before it starts, without computing anything.

    Raises:
        ParamsError: with the dotted path.
    """
    with torch.device("meta"):
        phases = build(run.family, run.model, data, f"runs.{name}.model").phases()
    wanted, given = {phase.optimizer for phase in phases}, set(run.training.optimizers)
    if wanted != given:
        needs = f"{run.family} needs exactly {sorted(wanted)}, there are {sorted(given)}"
        raise ParamsError(f"runs.{name}.training.optimizers: {needs}")
