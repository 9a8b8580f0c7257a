"""All of params.yaml against the families' own demands, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from genfoundry.contract import DataSpec, GenerativeModel, Learner
from genfoundry.data.supply import offered, seen
from genfoundry.judge.model import Judge
from genfoundry.models import build
from genfoundry.networks.lpips import SMALLEST
from genfoundry.params import (
    NO_WEIGHTS,
    PARAMS,
    Augmentation,
    Data,
    Dataset,
    Extractor,
    Params,
    ParamsError,
    PublishedJudge,
    Run,
    Training,
    load,
)
from genfoundry.spec import VOCABULARY

HINTS = "`labels` gives labelled, `degradations` gives degraded and mask, the data set the rest"


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
    checks = [partial(check_augmentation, params.evaluation.augmentation)]
    checks += [partial(check_judge, name, dataset) for name, dataset in params.datasets.items()]
    checks += [
        partial(check_run, name, run, params.datasets[run.data.dataset]) for name, run in params.runs.items()
    ]
    for check in checks:
        try:
            check()
        except ParamsError as error:
            yield str(error)


def check_judge(name: str, dataset: Dataset) -> None:
    """What can be wrong with a data set's judge.

    Raises:
        ParamsError: with the dotted path.
    """
    if isinstance(dataset.judge, PublishedJudge):
        return
    with torch.device("meta"):
        judge = Judge(dataset.judge.channels, dataset.judge.features, DataSpec(dataset.shape, dataset.classes))
    check_optimizers(f"datasets.{name}.judge.training", "the judge", judge, dataset.judge.training)


def check_run(name: str, run: Run, dataset: Dataset) -> None:
    """Everything about a run that can be wrong before it starts, without computing anything.

    Raises:
        ParamsError: with the dotted path.
    """
    check_data(f"runs.{name}.data", run.data, dataset)
    with torch.device("meta"):
        spec = seen(DataSpec(dataset.shape, dataset.classes), run.data)
        model = build(run.family, run.model, spec, f"runs.{name}.model")
    check_weights(f"runs.{name}.weights", run, model)
    check_perceptual(f"runs.{name}.evaluation.perceptual", run.evaluation.perceptual, dataset.shape)
    check_sides(f"runs.{name}.data", run.data, model, dataset.shape)
    check_scale(f"runs.{name}.data", run.data, model, dataset.shape)
    check_optimizers(f"runs.{name}.training", run.family, model, run.training)
    check_labels(f"runs.{name}.data", run, model)
    check_scores(f"runs.{name}.data", run, model)
    lacking = sorted(model.needs - offered(dataset, run.data))
    if lacking:
        raise ParamsError(f"runs.{name}.data: {run.family} needs {', '.join(lacking)} in its batches; {HINTS}")


def check_data(path: str, data: Data, dataset: Dataset) -> None:
    """Images can be seen the way that `data` says.

    Raises:
        ParamsError: there are no labels, or not one image to a row; all classes are listed.
    """
    if data.labels is not None and not dataset.classes:
        raise ParamsError(f"{path}.labels: {data.dataset} has no classes")
    classes = data.classes or dataset.classes
    if data.labels is not None and data.labels % len(classes):
        raise ParamsError(f"{path}.labels: {data.labels} are not as many of each of {len(classes)} classes")
    if data.classes and set(data.classes) == set(dataset.classes):
        raise ParamsError(f"{path}.classes: these are all there are; leave the key out")
    alone = [key for key in ("binarize", "degradations") if getattr(data, key)]
    if alone and dataset.layout != "classes":
        raise ParamsError(f"{path}.{alone[0]}: is for images that stand alone, not for {dataset.layout}")


def check_weights(path: str, run: Run, model: GenerativeModel) -> None:
    """Weights are named where the model has a use for them, and nowhere else.

    Raises:
        ParamsError: they are missing or have no use.
    """
    if model.published() is not None and run.weights == NO_WEIGHTS:
        raise ParamsError(f"{path}: {run.family} needs published weights here, and there are none")
    if model.published() is None and run.weights != NO_WEIGHTS:
        raise ParamsError(f"{path}: {run.family} has no use for {run.weights!r} here; say {NO_WEIGHTS}")


def check_sides(path: str, data: Data, model: GenerativeModel, shape: tuple[int, int, int]) -> None:
    """Images and patches can be degraded to whole pixels, and patches are for models that take images of any size.

    Raises:
        ParamsError: they cannot, or are not.
    """
    sides = {*shape[1:], *([data.patch] if data.patch else [])}
    for side in sorted(sides):
        if side % data.scale:
            raise ParamsError(f"{path}.degradations.scale: {side} pixels cannot be {data.scale} times fewer")
    if data.patch and data.patch > min(shape[1:]):
        raise ParamsError(f"{path}.patch: {data.patch} pixels are more than the images have")
    taken = [spec for graph in model.graphs() for spec in graph.inputs.values() if spec.kind == "image"]
    network = model.published()
    if data.patch and network is not None and data.patch < network.smallest:
        raise ParamsError(f"{path}.patch: the perceptual loss sees sides of {network.smallest} pixels or more")
    of_any_size = taken and all(isinstance(side, str) for spec in taken for side in spec.shape[2:])
    if data.patch and not of_any_size:
        raise ParamsError(f"{path}.patch: this family takes images of one size")


def check_scale(path: str, data: Data, model: GenerativeModel, shape: tuple[int, int, int]) -> None:
    """What restores degraded images takes them as small as they are.

    Raises:
        ParamsError: it wants them in full size.
    """
    depth, height, width = shape
    small = (1, depth, height // data.scale, width // data.scale)
    restoring = [graph for graph in model.graphs() if "degraded" in VOCABULARY[graph.name].takes]
    taken = [spec for graph in restoring for spec in graph.inputs.values() if spec.kind == "image"]
    if not all(spec.fits(small) for spec in taken):
        raise ParamsError(f"{path}.degradations.scale: this family restores images of {height}×{width} alone")


def check_labels(path: str, run: Run, model: GenerativeModel) -> None:
    """Where only a few images have labels, a model that reads labels sees those images.

    Raises:
        ParamsError: it would take them for the labels of others.
    """
    apart = run.data.labels is not None and run.data.unlabelled
    if apart and "label" in model.needs and "labelled" not in model.needs:
        raise ParamsError(
            f"{path}.labels: {run.family} wants a label for each image; say unlabelled: false as well"
        )


def check_scores(path: str, run: Run, model: GenerativeModel) -> None:
    """Something will measure what ships.

    Raises:
        ParamsError: samples of a few classes, which no score is of, or noise where hidden pixels are filled in.
    """
    inputs = [spec for graph in model.graphs() for spec in graph.inputs.values()]
    if run.data.classes and not any(spec.kind == "image" for spec in inputs):
        raise ParamsError(f"{path}.classes: {run.family} only generates, and scores of samples are of all classes")
    restoring = [graph for graph in model.graphs() if graph.name == "restore"]
    if "noise" in run.data.degradations and any("mask" in graph.inputs for graph in restoring):
        raise ParamsError(f"{path}.degradations.noise: {run.family} keeps the pixels that it is given, noise too")


def check_perceptual(path: str, name: str, shape: tuple[int, int, int]) -> None:
    """The network that compares images is one that does, and has pixels to see.

    Raises:
        ParamsError: it is of another kind, or images are too small for it.
    """
    if name in get_args(Extractor):
        raise ParamsError(f"{path}: {name} does not compare two images; lpips_{' and lpips_'.join(SMALLEST)} do")
    least = SMALLEST.get(name.removeprefix("lpips_"), 0)
    if min(shape[1:]) < least:
        raise ParamsError(f"{path}: {name} sees sides of {least} pixels or more; say {NO_WEIGHTS}")


def check_augmentation(augmentation: Augmentation) -> None:
    """A batch holds generated images and real ones.

    Raises:
        ParamsError: only one of them.
    """
    size = augmentation.training.batch_size
    if not 0 < round(augmentation.share * size) < size:
        raise ParamsError(
            f"evaluation.augmentation.share: {augmentation.share:g} of {size} images are none of them or all"
        )


def check_optimizers(path: str, who: str, model: Learner, training: Training) -> None:
    """One optimizer for each name that the phases use.

    Raises:
        ParamsError: one is missing or has no use.
    """
    wanted, given = {phase.optimizer for phase in model.phases()}, set(training.optimizers)
    if wanted != given:
        raise ParamsError(f"{path}.optimizers: {who} needs exactly {sorted(wanted)}, there are {sorted(given)}")
