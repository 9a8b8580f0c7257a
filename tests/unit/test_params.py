from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genfoundry.params import (
    Dataset,
    Evaluation,
    Gate,
    Judge,
    Optimizer,
    ParamsError,
    PublishedJudge,
    Training,
    flatten,
    load,
    load_dataset,
    load_run,
    load_weights,
    read,
    validate,
)
from tests.unit import tiny

DOTS = "datasets__dots"
TINY = "runs__tiny"
OWN = {"kind": "folder", "path": "own"}


def test_valid_file_gives_typed_params(params_file: Callable[..., Path]) -> None:
    params, run = load_run("tiny", params_file())
    assert run is params.runs["tiny"]
    assert params.datasets["dots"].shape == tiny.SHAPE
    assert load_dataset("dots", params_file())[1].classes == ("zero", "one")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {f"{TINY}__training__stepz": 1},
            "runs.tiny.training.stepz: unknown key; did you mean 'steps'?",
        ),
        (
            {f"{TINY}__training__optimizers__vae__learn": 1},
            "runs.tiny.training.optimizers.vae.learn: unknown key",
        ),
        ({f"{DOTS}__clases": []}, "datasets.dots.clases: unknown key; did you mean 'classes'?"),
        (
            {f"{DOTS}__judge__training__optimizers__judge__scedule": "cosine"},
            "datasets.dots.judge.training.optimizers.judge.scedule: unknown key; did you mean 'schedule'?",
        ),
        ({"sead": 1}, "sead: unknown key; did you mean 'seed'?"),
        ({f"{TINY}__training__batch_size": 1}, "runs.tiny.training.batch_size: "),
        ({f"{TINY}__training__steps": 0}, "runs.tiny.training.steps: "),
        ({f"{TINY}__training__ema": 1.0}, "runs.tiny.training.ema: "),
        ({f"{TINY}__training__optimizers__vae__lr": -1e-3}, "runs.tiny.training.optimizers.vae.lr: "),
        ({"export__opset": 17}, "export.opset: "),
        ({f"{TINY}__training__steps": "many"}, "runs.tiny.training.steps: "),
        ({f"{TINY}__training__steps": 1.5}, "runs.tiny.training.steps: "),
        ({f"{TINY}__training__steps": True}, "runs.tiny.training.steps: "),
        ({"tracking__enabled": "yes"}, "tracking.enabled: "),
        ({f"{TINY}__training__precision": "fp64"}, "runs.tiny.training.precision: "),
        ({f"{TINY}__family": None}, "runs.tiny.family: "),
        ({"seed": None}, "seed: "),
        ({f"{DOTS}__judge__accuracy": None}, "datasets.dots.judge.accuracy: "),
        (
            {f"{TINY}__data__dataset": "stars"},
            "runs.tiny.data.dataset: 'stars' is not one of dots",
        ),
        (
            {"runs__tiny__data": {"dataset": "dots", "classes": ["zero", "two"]}},
            "runs.tiny.data.classes: 'two' is not one of zero, one",
        ),
        (
            {"runs__tiny__data": {"dataset": "dots", "unlabelled": False}},
            "runs.tiny.data.unlabelled: without `labels` no image loses its label",
        ),
        (
            {"runs__tiny__evaluation__rival": "big"},
            "runs.tiny.evaluation.rival: 'big' is not one of tiny",
        ),
        (
            {"runs__tiny__evaluation__perceptual": "lpips"},
            "runs.tiny.evaluation.perceptual: there is no weights.lpips",
        ),
        ({"runs__tiny__evaluation__perceptual": None}, "runs.tiny.evaluation.perceptual: Field required"),
        ({"runs__tiny__data__degradations": {"mask": 50}}, "runs.tiny.data.degradations: mask is the share of"),
        ({"runs__tiny__data__degradations": {"scale": 2.5}}, "runs.tiny.data.degradations: scale is a whole"),
        ({"runs__tiny__data__degradations": {"scale": 1}}, "runs.tiny.data.degradations: scale is a whole number"),
        (
            {"runs__tiny__data__degradations": {"scale": 2, "noise": 0.1}},
            "runs.tiny.data.degradations: scale takes no turns",
        ),
        ({"seed": 2**63}, "seed: "),
        ({"export__opset": 99}, "export.opset: "),
        ({"tracking__timeout_seconds": 0.5}, "tracking.timeout_seconds: "),
        ({f"{DOTS}__shape": [1, 2, 8]}, "datasets.dots.shape.1: "),
        ({f"{DOTS}__sha256": {"train_images": "0" * 64}}, "datasets.dots.sha256: train_labels, "),
        (
            {f"{DOTS}__sources": [{"kind": "pip", "package": "x"}]},
            "datasets.dots.sources.0: a package of this kind",
        ),
        (
            {f"{DOTS}__sources": [{"kind": "sdist", "package": "x", "version": "1"}]},
            "datasets.dots.sources.0: an sdist needs its sha256",
        ),
        ({f"{DOTS}__judge__extractor": None}, "datasets.dots.judge.extractor: Field required"),
        ({f"{DOTS}__judge__chanels": 3}, "datasets.dots.judge.chanels: unknown key; did you mean 'channels'?"),
        (
            {f"{DOTS}__judge": {"extractor": "inception", "size": 96}},
            "datasets.dots.judge.extractor: Input should be 'efficientnet_lite0'",
        ),
        ({f"{DOTS}__judge": {"extractor": "efficientnet_lite0"}}, "datasets.dots.judge.size: Field required"),
        (
            {f"{DOTS}__judge": {**tiny.EFFNET, "sise": 9}},
            "datasets.dots.judge.sise: unknown key; did you mean 'size'?",
        ),
        ({f"{DOTS}__judge": {**tiny.EFFNET, "channels": 9}}, "datasets.dots.judge.channels: unknown key"),
        (
            {f"{DOTS}__judge": tiny.EFFNET, "weights": {}},
            "datasets.dots.judge.extractor: there is no weights.efficientnet_lite0",
        ),
        ({"weights": None}, "weights: Field required"),
        ({f"{TINY}__weights": None}, "runs.tiny.weights: Field required"),
        ({f"{TINY}__weights": "vgg"}, "runs.tiny.weights: there is no weights.vgg"),
        (
            {"weights__efficientnet_lite0__sources": [{"kind": "parts", "parts": [OWN]}]},
            "weights.efficientnet_lite0.sources: weights are one file",
        ),
        ({"weights__efficientnet_lite0__sha256": "beef"}, "weights.efficientnet_lite0.sha256: "),
        ({"weights__efficientnet_lite0__licence": None}, "weights.efficientnet_lite0.licence: "),
        ({f"{DOTS}__sha256__train_images": "beef"}, "datasets.dots.sha256.train_images: "),
        ({f"{DOTS}__sha256__tree": "0" * 64}, "datasets.dots.sha256: tree is not what these sources give"),
        (
            {f"{DOTS}__sha256": {}},
            "datasets.dots.sha256: train_images, train_labels, test_images, test_labels missing",
        ),
        ({f"{DOTS}__shape": [2, 8, 8]}, "datasets.dots.shape: the first number is 1 for grey or 3 for colour"),
        ({f"{DOTS}__classes": ["one"]}, "datasets.dots.classes: two different names or more, or none"),
        ({f"{DOTS}__classes": ["one", "one"]}, "datasets.dots.classes: two different names or more, or none"),
        ({f"{DOTS}__classes": []}, "datasets.dots.classes: arrays come with labels, whose names these are"),
        ({f"{DOTS}__layout": "pairs"}, "datasets.dots.sources: arrays have no pairs"),
        ({f"{DOTS}__layout": "triples"}, "datasets.dots.layout: "),
        ({f"{DOTS}__fit": "crop"}, "datasets.dots.fit: "),
        ({f"{DOTS}__test_share": 1.0}, "datasets.dots.test_share: "),
        (
            {f"{DOTS}__sources": [{"kind": "npm", "package": "x", "version": "1", "fils": "*"}]},
            "datasets.dots.sources.0.fils: unknown key; did you mean 'files'?",
        ),
        (
            {f"{DOTS}__sources": [{"kind": "parts", "parts": [{"kind": "npm", "package": "x"}]}]},
            "datasets.dots.sources.0.parts.0: a package of this kind needs its version",
        ),
        ({f"{TINY}__training__log_every": 3, f"{TINY}__training__sample_every": 3}, "runs.tiny.training: "),
    ],
)
def test_a_mistake_is_one_line_with_its_dotted_path(
    params_file: Callable[..., Path], changes: dict[str, object], line: str
) -> None:
    with pytest.raises(ParamsError) as error:
        load(params_file(**changes))
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_several_mistakes_are_as_many_lines(params_file: Callable[..., Path]) -> None:
    with pytest.raises(ParamsError) as error:
        load(params_file(seed=-1, export__opset=1, **{f"{TINY}__family": None}))
    assert {line.split(":")[0] for line in str(error.value).splitlines()} == {
        "seed",
        "export.opset",
        "runs.tiny.family",
    }


def test_a_judge_is_trained_or_published(params_file: Callable[..., Path]) -> None:
    assert isinstance(load(params_file()).datasets["dots"].judge, Judge)
    published = load(params_file(**{f"{DOTS}__judge": tiny.EFFNET})).datasets["dots"].judge
    assert published == PublishedJudge(extractor="efficientnet_lite0", size=64)


@pytest.mark.parametrize(
    ("load_entry", "section"), [(load_run, "runs"), (load_dataset, "datasets"), (load_weights, "weights")]
)
def test_unknown_entry_is_named_with_those_there_are(
    params_file: Callable[..., Path], load_entry: Callable, section: str
) -> None:
    with pytest.raises(ParamsError, match=rf"^{section}\.nobody: not in params.yaml, which has [a-z0-9_]+$"):
        load_entry("nobody", params_file())


def test_yaml_mistake_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("seed: 0\nruns:\n  a: [1, 2\n  b: 3\n")
    with pytest.raises(ParamsError, match=r"params.yaml:4: ") as error:
        read(file)
    assert len(str(error.value).splitlines()) == 1


def test_a_key_given_twice_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("seed: 0\nseed: 1\n")
    with pytest.raises(ParamsError, match=r"params\.yaml:2: .*duplicate"):
        read(file)


@pytest.mark.parametrize("content", [b"a: \x01\n", b"a: \xff\n"])
def test_unreadable_characters_are_a_mistake_of_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(ParamsError):
        read(file)


@pytest.mark.parametrize("content", ["", "- 1\n", "text\n"])
def test_anything_but_a_mapping_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(ParamsError, match="expected a mapping"):
        read(file)


def test_absent_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="run from the repository's root"):
        read(tmp_path / "params.yaml")


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("2E4", 2e4), ("0.5", 0.5), ("no", "no"), ("010", 10)])
def test_scalars_are_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"lr: {text}\n")
    found = read(file)["lr"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("lr", [float("nan"), float("inf")])
def test_a_learning_rate_is_finite(lr: float) -> None:
    with pytest.raises(ParamsError, match=r"^lr: "):
        validate(Optimizer, {"lr": lr})


def test_params_are_frozen_and_lists_become_tuples() -> None:
    optimizer = validate(Optimizer, {"lr": 1, "betas": [0.5, 0.9]}, "o")
    assert optimizer.betas == (0.5, 0.9)
    with pytest.raises(ValueError, match="frozen"):
        optimizer.lr = 2.0  # type: ignore[misc]


PACKAGE = {"kind": "pip", "package": "x", "version": "1"}
PHOTOS = {"sources": [OWN], "sha256": {}, "shape": [3, 8, 8], "licence": "mine", "judge": tiny.EFFNET}


def photos(**changes: Any) -> Dataset:
    return validate(Dataset, {**PHOTOS, **changes}, "d")


def test_a_folder_of_images_needs_little() -> None:
    dataset = photos()
    assert (dataset.layout, dataset.classes, dataset.limit, dataset.fit) == ("classes", (), None, None)
    assert photos(sha256={"tree": "a" * 64}).sha256 == {"tree": "a" * 64}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"layout": "pairs", "groups": {"source": ["x"]}}, "d.groups: needs exactly source, target"),
        ({"layout": "domains", "groups": {"a": ["x"], "c": ["y"]}}, "d.groups: needs exactly a, b"),
        ({"layout": "domains", "groups": {"a": ["x"], "b": ["y", "x"]}}, "d.groups: x cannot be in two places"),
        ({"classes": ["x", "y"], "groups": {"x": ["u"]}}, "d.groups: needs exactly x, y"),
        ({"layout": "domains", "classes": ["x", "y"]}, "d.classes: images in domains have no classes"),
        ({"sha256": {"train_images": "0" * 64}}, "d.sha256: tree missing"),
        ({"sources": [{**PACKAGE, "files": "*.png"}]}, "d.sha256: tree missing"),
        ({"sources": [{"kind": "parts", "parts": [OWN, {**PACKAGE, "files": "*"}]}]}, "d.sha256: tree missing"),
        (
            {"judge": tiny.params_tree()["datasets"]["dots"]["judge"]},
            "d.judge: without classes there is nothing to train on",
        ),
        ({"judge": None}, "d.judge: "),
        ({"layout": "pairs", "halves": True}, "d.halves: is for domains"),
        ({"sources": [OWN, PACKAGE]}, "d.sources: some give arrays, some images"),
        (
            {"sources": [{**OWN, "package": "x"}]},
            "d.sources.0: a source of kind folder has path alone, not: pack",
        ),
        ({"sources": [{"kind": "folder"}]}, "d.sources.0: a source of kind folder has path alone, not: none"),
        ({"sources": [{"kind": "parts"}]}, "d.sources.0: a source of kind parts has parts alone, not: none"),
        ({"sources": [{"kind": "parts", "parts": [OWN, PACKAGE]}]}, "d.sources.0: each part is a folder, or"),
        ({"sources": [{**OWN, "files": "*/{group}"}]}, "d.sources.0.files: needs a * after the last placeholder"),
        (
            {"sources": [{**OWN, "files": "*", "table": {"file": "a", "image": "b"}}]},
            "d.sources.0: images ",
        ),
        ({"sources": [{**OWN, "group": "../x"}]}, "d.sources.0.group: "),
        ({"sources": [{**OWN, "splits": {"val": ["val"]}}]}, "d.sources.0.splits.val: "),
    ],
)
def test_a_mistake_about_images_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ParamsError) as error:
        photos(**changes)
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_folders_of_all_parts_are_known() -> None:
    parts = [OWN, {"kind": "parts", "parts": [{"kind": "folder", "path": "more"}]}]
    source = photos(sources=[{"kind": "parts", "parts": parts}]).sources[0]
    assert source.folders == ("own", "more")
    assert source.is_local


@pytest.mark.parametrize("name", ["sample_every", "checkpoint_every"])
def test_intervals_are_multiples_of_logging(name: str) -> None:
    tree = {"steps": 6, "batch_size": 2, "optimizers": {}, "log_every": 3, "sample_every": 6, "checkpoint_every": 6}
    with pytest.raises(ParamsError, match=rf"^t: {name} must be a multiple of log_every \(3\)"):
        validate(Training, {**tree, name: 4}, "t")


def test_kid_subsets_fit_into_the_samples() -> None:
    tree = tiny.params_tree(evaluation__kid_subset_size=101)["evaluation"]
    with pytest.raises(ParamsError, match=r"kid_subset_size must be at most samples \(100\)"):
        validate(Evaluation, tree, "evaluation")


def test_gate_needs_a_batch_that_can_show_a_constant() -> None:
    with pytest.raises(ParamsError):
        validate(Gate, {**tiny.GATE.model_dump(mode="json"), "batches": [1, 1]})


def test_flatten_gives_each_leaf_under_its_path() -> None:
    tree = {"a": {"b": {"c": 1}, "d": [2]}, "e": {}, "f": None}
    assert dict(flatten(tree)) == {"a.b.c": 1, "a.d": [2], "e": {}, "f": None}


def test_a_rival_learns_from_the_same_data(params_file: Callable[..., Path]) -> None:
    tree = tiny.params_tree()
    evaluation = {"rival": "tiny", "perceptual": "none"}
    other = {**tree["runs"]["tiny"], "data": {"dataset": "others"}, "evaluation": evaluation}
    file = params_file(datasets__others=tree["datasets"]["dots"], runs__other=other)
    line = "runs.other.evaluation.rival: 'tiny' learns from dots, not from others"
    with pytest.raises(ParamsError, match=f"^{re.escape(line)}"):
        load(file)
