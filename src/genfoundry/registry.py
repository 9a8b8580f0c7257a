"""Shipped files → MLflow's model registry: a model for each data set and task, its versions the files of all runs.

`models:/fashion_mnist.generate@champion` is the file that scores best. What a user deleted there is not made again.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry.files import read_json
from genfoundry.journal import JOURNALS, entries
from genfoundry.params import Run
from genfoundry.report.leaderboard import PROTOCOL, Board, Row, beats, boards, rows_of
from genfoundry.runtime.artifact import CARD
from genfoundry.runtime.golden import inputs_of
from genfoundry.spec import TensorSpec
from genfoundry.tracking import Mirror

ALIAS = "champion"
NOBODY = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model, no such alias
NEEDED = ("numpy", "onnx", "onnxruntime")  # by who serves a file


def register(runs: Mapping[str, Run], timeout_s: float) -> None:
    """Every packaged run's files, then each board's champion; nothing is done twice.

    Raises:
        Exception: whatever the client raises where the server is absent, slow or broken.
    """
    packaged = {name: Path("dist") / name / CARD for name in runs if (Path("dist") / name / CARD).exists()}
    if not packaged:
        return
    registry = Registry(Mirror(timeout_s))
    cards = {name: read_json(path) for name, path in packaged.items()}
    for name, card in cards.items():
        registry.add(name, card)
    for board in leading(boards(row for name in cards for row in rows_of(name, runs[name]))):
        registry.crown(board, cards)


class Registry:
    """MLflow's side of `dist/`."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror, self._client = mirror, mirror.client

    def add(self, run: str, card: Mapping[str, Any]) -> None:
        """A version of each file that the run's MLflow run does not know as registered."""
        run_id = self._mirror.run_of(list(entries((JOURNALS / run / "package.jsonl").read_bytes())))
        if run_id is None:
            return
        done = self._client.get_run(run_id).data.tags
        for graph, about in card["graphs"].items():
            if done.get(f"registered.{graph}") != about["sha256"]:
                source = self._log(run_id, Path("dist") / run / about["file"], about)
                for name in names_of(card, graph):
                    self._version(name, source, run_id, card, graph)
                self._client.set_tag(run_id, f"registered.{graph}", about["sha256"])

    def crown(self, board: Board, cards: Mapping[str, Mapping[str, Any]]) -> None:
        """Give the alias to the best, where nobody has it or whoever has it was beaten by more than the error."""
        lead = board.metrics[0]
        name = board_name(board.dataset, board.task, board.conditions)
        rows = [line[lead] for _, line in board.lines]
        versions = {row.run: self._scored(name, row, cards[row.run]) for row in rows}
        best = next((row for row in rows if versions[row.run]), None)
        if best is None:
            return
        champion = self._champion(name)
        if champion is None or wins(best, champion.tags):
            self._client.set_registered_model_alias(name, ALIAS, versions[best.run].version)

    def _log(self, run_id: str, path: Path, about: Mapping[str, Any]) -> str:
        """The file as an ONNX model among the run's artifacts; where that is."""
        import mlflow.onnx
        import onnx

        inputs, outputs = (specs_of(about[side]) for side in ("inputs", "outputs"))
        place = f"models/{path.stem}-{about['sha256'][:12]}"
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            mlflow.onnx.save_model(
                onnx.load(path),
                str(folder),
                signature=signature(inputs, outputs),
                input_example=inputs_of(inputs),
                pip_requirements=[f"{package}=={version(package)}" for package in NEEDED],
                save_as_external_data=False,
            )
            shutil.copyfile(path, folder / "model.onnx")  # the bytes that were measured
            self._client.log_artifacts(run_id, str(folder), place)
        return f"{self._client.get_run(run_id).info.artifact_uri}/{place}"

    def _version(self, name: str, source: str, run_id: str, card: Mapping[str, Any], graph: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=f"`{graph}` of {card['dataset']}")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {"run": card["run"], "family": card["family"], "graph": graph, "identity": card["identity"]}
        tags |= {"sha256": card["graphs"][graph]["sha256"], "dataset": card["dataset"]}
        self._client.create_model_version(name, source, run_id, tags=tags)

    def _scored(self, name: str, row: Row, card: Mapping[str, Any]) -> Any:
        """The version of the file that a row is of, with its score among its tags; None where it was deleted."""
        sha256 = card["graphs"][row.graph]["sha256"]
        versions = self._client.search_model_versions(f"name = '{name}'")
        found = [version for version in versions if version.tags.get("sha256") == sha256]
        if not found:
            return None
        for key, value in score_tags(row).items():
            if found[0].tags.get(key) != value:
                self._client.set_model_version_tag(name, found[0].version, key, value)
        return found[0]

    def _champion(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(name, ALIAS)
        except MlflowException as error:
            if error.error_code in NOBODY:
                return None
            raise


def leading(every: Iterable[Board]) -> list[Board]:
    """One board of each name: what published networks see crowns where the judge saw nothing."""
    first: dict[str, Board] = {}
    for board in sorted(every, key=lambda board: bool(board.extractor)):
        first.setdefault(board_name(board.dataset, board.task, board.conditions), board)
    return list(first.values())


def board_name(dataset: str, task: str, conditions: str) -> str:
    """What the registry calls a board: `fruits.super_resolve.scale-2`."""
    slug = re.sub(r"[^a-z0-9]+", "-", conditions.lower().replace("×", "x")).strip("-")
    return ".".join(filter(None, [dataset, task, slug]))


def names_of(card: Mapping[str, Any], graph: str) -> list[str]:
    """The boards that a file stands on; one that no task measures bears its own name."""
    entries = [entry for entry in card["scores"].values() if entry["graph"] == graph]
    boards = dict.fromkeys(board_name(card["dataset"], e["task"], e.get("conditions", "")) for e in entries)
    return list(boards) or [board_name(card["dataset"], graph, "")]


def score_tags(row: Row) -> dict[str, str]:
    """A score as a version bears it, with the protocol under which it may be compared."""
    protocol = "; ".join(f"{name} {getattr(row, name)}" for name in PROTOCOL)
    return {"metric": row.metric, "value": repr(row.value), "stderr": repr(row.stderr or 0.0), "protocol": protocol}


def wins(challenger: Row, champion: Mapping[str, str]) -> bool:
    """Whether a score is better than a champion's by more than the error, or was had by another protocol."""
    own = score_tags(challenger)
    if any(champion.get(key) != own[key] for key in ("metric", "protocol")):
        return True
    held = replace(challenger, value=float(champion["value"]), stderr=float(champion["stderr"]))
    return beats(challenger, held)


def specs_of(entry: Mapping[str, Any]) -> dict[str, TensorSpec]:
    """Tensors as a card has them."""
    return {name: TensorSpec.from_json(spec) for name, spec in entry.items()}


def signature(inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec]) -> Any:
    """MLflow's words for a graph's specs; a dynamic axis is −1."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as Tensor

    def schema(specs: Iterable[tuple[str, TensorSpec]]) -> Iterator[Any]:
        for name, spec in specs:
            shape = tuple(n if isinstance(n, int) else -1 for n in spec.shape)
            yield Tensor(np.dtype(spec.dtype), shape, name)

    return ModelSignature(Schema(list(schema(inputs.items()))), Schema(list(schema(outputs.items()))))
