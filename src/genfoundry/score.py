"""Scores of images alone: of two folders, or of a shipped generator beside a prepared data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genfoundry.data.batches import Prepared
from genfoundry.data.decoding import parallel
from genfoundry.data.images import FORMATS, Unreadable, read_image
from genfoundry.data.pretrained import fetch_weights
from genfoundry.files import folder_atomic, sha256_file
from genfoundry.judge.extractor import Extractor, as_bytes
from genfoundry.judge.published import export_published
from genfoundry.metrics import Estimate, Metric, Paired, Sampled, ms_ssim, mse, psnr, ssim
from genfoundry.metrics.lpips import METRIC as LPIPS
from genfoundry.metrics.lpips import LpipsDistance
from genfoundry.params import Params, load
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact
from genfoundry.tasks.generate import METRICS

DEFAULTS = Path(__file__).with_name("params.yaml")  # the repository's: protocol, and where weights come from
LEAST = 50  # images of a set
PAIRED = (psnr.METRIC, ssim.METRIC, ms_ssim.METRIC, mse.METRIC, LPIPS)
LPIPS_WEIGHTS = "lpips_alexnet"
NAMED = 3  # sizes or files in an error


class ScoreError(ValueError):
    """Images that cannot be compared; the message says what to do."""


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how."""

    real: Path  # a folder of images, or a prepared data set
    samples: Path  # a folder of images, or a generator's file or folder
    extractor: str = "inception_2015"
    train: Path | None = None  # images that may have been copied; a prepared data set has its own
    count: int = 2000  # samples that a generator makes
    seed: int = 0
    size: int | None = None  # pixels of a side, to which images are cut and resized
    paired: bool = False  # files of one name belong together


@dataclass(frozen=True)
class Score:
    """One line of the result."""

    metric: Metric
    name: str
    value: Estimate
    floor: Estimate | None  # of as many real training images, where they are known


def score(request: Request) -> tuple[list[Score], dict[str, Any]]:
    """The scores, and the protocol that they are comparable under.

    Raises:
        ScoreError, MetricError, ArtifactError, SourceError: the images, the generator or the weights will not do.
    """
    for path in (request.real, request.samples, *([request.train] if request.train else [])):
        if not (is_prepared(path) or is_generator(path)):
            files_of(path)  # a mistake costs no time
    params = load(DEFAULTS)
    return paired(request, params) if request.paired else distributions(request, params)


def distributions(request: Request, params: Params) -> tuple[list[Score], dict[str, Any]]:
    """All of `METRICS` that the extractor's features allow."""
    real, samples = real_images(request), sample_images(request)
    enough(request.real, real)
    enough(request.samples, samples)
    extractor = extractor_of(request.extractor, params)
    train = training_images(request)
    evidence = Sampled(
        extractor.look(samples, "samples"),
        extractor.look(real, "real images"),
        None if train is None else extractor.look(train, "training images"),
        extractor.protocol["extractor"],
    )
    floor = floor_of(evidence)
    found = [
        Score(
            metric,
            metric.called(evidence),
            metric.compute(evidence, params.evaluation),
            metric.compute(floor, params.evaluation) if floor and metric.fits(floor) else None,
        )
        for metric in METRICS
        if metric.fits(evidence)
    ]
    return found, {**about(request), "n": len(samples), "n_real": len(real), **extractor.protocol}


def floor_of(evidence: Sampled) -> Sampled | None:
    """As many training images in the samples' place, where some are known."""
    if evidence.train is None:
        return None
    return Sampled(evidence.train.take(slice(len(evidence.samples))), evidence.real, extractor=evidence.extractor)


def paired(request: Request, params: Params) -> tuple[list[Score], dict[str, Any]]:
    """Of images and what they should be, file by file of one name."""
    names = sorted(path.relative_to(request.real) for path in files_of(request.real))
    lacking = [name for name in names if not (request.samples / name).exists()]
    if lacking:
        raise ScoreError(f"{request.samples} lacks {shown(lacking)}; --paired compares files of one name")
    target, output = (
        from_bytes(decoded(folder, [folder / name for name in names], request.size))
        for folder in (request.real, request.samples)
    )
    if target.shape != output.shape:
        raise ScoreError(
            f"images are {side(target)} and {side(output)}; --size N makes both N pixels high and wide"
        )
    distance = LpipsDistance(weights_of(LPIPS_WEIGHTS, params))
    evidence = Paired(target, output, distance(target, output))
    found = [
        Score(metric, metric.name, metric.compute(evidence, params.evaluation), None)
        for metric in PAIRED
        if metric.fits(evidence)
    ]
    return found, {**about(request), "n": len(names), **distance.protocol}


def about(request: Request) -> dict[str, Any]:
    """What was compared."""
    graph = request.samples.suffix == ".onnx"
    digest = {"file_sha256": sha256_file(request.samples)} if graph else {}
    return {"real": str(request.real), "samples": str(request.samples), "seed": request.seed, **digest}


def real_images(request: Request) -> np.ndarray:
    """(N, C, H, W) uint8: a prepared data set's test split, or a folder's files."""
    if is_prepared(request.real):
        return np.asarray(Prepared(request.real).split("test").images)
    return decoded(request.real, files_of(request.real), request.size)


def training_images(request: Request) -> np.ndarray | None:
    """(N, C, H, W) uint8: of the folder that is named; or a prepared data set's, as many as it has test images."""
    if request.train:
        return decoded(request.train, files_of(request.train), request.size)
    if is_prepared(request.real):
        train, test = (Prepared(request.real).split(name).images for name in ("train", "test"))
        return np.asarray(train[: len(test)])
    return None


def sample_images(request: Request) -> np.ndarray:
    """(N, C, H, W) uint8: a generator's, or a folder's files."""
    path = request.samples
    if is_generator(path):
        return as_bytes(Artifact.load(path).generate(request.count, request.seed))
    return decoded(path, files_of(path), request.size)


def is_generator(path: Path) -> bool:
    """Whether it is, or holds, an ONNX file."""
    return path.suffix == ".onnx" or any(path.glob("*.onnx"))


def is_prepared(folder: Path) -> bool:
    """Whether the pipeline's stage `prepare` wrote it."""
    return (folder / "dataset.json").exists()


def files_of(folder: Path) -> list[Path]:
    """Its files and those of its sub-folders, none hidden.

    Raises:
        ScoreError: there is none.
    """
    if not folder.is_dir():
        raise ScoreError(f"{folder} is not a folder of images, nor a prepared data set, nor an .onnx file")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise ScoreError(f"{folder} is empty; it should hold image files, in sub-folders or not")
    return found


def decoded(folder: Path, files: Sequence[Path], size: int | None) -> np.ndarray:
    """(N, 3, H, W) uint8 of the files, which are of one size or made so.

    Raises:
        ScoreError: of several sizes, or damaged.
    """
    height, width = (size, size) if size else one_size(files)
    pixels = parallel(partial(_pixels, files, (3, height, width)), len(files), f"reading {folder}")
    return np.stack(pixels)


def _pixels(files: Sequence[Path], shape: tuple[int, int, int], row: int) -> np.ndarray:
    try:
        return read_image(files[row], shape, "resize").pixels
    except Unreadable as error:
        raise ScoreError(f"{files[row]}: {error}; take it out, a score is of all images or of none") from None


def one_size(files: Sequence[Path]) -> tuple[int, int]:
    """Height and width of all.

    Raises:
        ScoreError: there are several, or a file is no image.
    """
    sizes: dict[tuple[int, int], int] = {}
    for path in files:
        try:
            with Image.open(path, formats=FORMATS) as image:
                size = image.height, image.width
        except Exception as error:  # the boundary: a damaged file can raise anything in a decoder
            raise ScoreError(f"{path} gives no image ({error}); take it out") from None
        sizes[size] = sizes.get(size, 0) + 1
    if len(sizes) > 1:
        most = sorted(sizes.items(), key=lambda item: -item[1])
        words = [f"{count} of {height}×{width}" for (height, width), count in most]
        raise ScoreError(f"images of {len(sizes)} sizes: {shown(words)}; --size N cuts and resizes all to N pixels")
    (size,) = sizes
    return size


def enough(path: Path, images: np.ndarray) -> None:
    """Say so where there are too few to know anything.

    Raises:
        ScoreError: there are.
    """
    if len(images) < LEAST:
        raise ScoreError(f"{path}: {len(images)} images say little of a distribution; {LEAST} are the least")


def extractor_of(name: str, params: Params) -> Extractor:
    """A published network, fetched and exported at its first use; what it saw is kept beside it by content."""
    weights = params.weights[name]
    folder = cache_home() / "extractors" / f"{name}-{weights.sha256[:16]}"
    if not folder.exists():
        source = weights_of(name, params)
        quick = params.export.gate.model_copy(update={"batches": (1, 2), "seeds": 1})
        with folder_atomic(folder) as target:
            export_published(name, None, target, params.export.model_copy(update={"gate": quick}), source.parent)
    return Extractor(folder, cache_home() / "features")


def weights_of(name: str, params: Params) -> Path:
    """The folder of fetched weights; the download is kept."""
    folder = cache_home() / "weights" / name
    if not folder.exists():
        print(f"fetching the weights of {name}, once", flush=True)
        fetch_weights(name, params.weights[name], folder)
    return folder


def cache_home() -> Path:
    """Where downloads and features are kept: `$XDG_CACHE_HOME/genfoundry`, or `~/.cache/genfoundry`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genfoundry"


def shown(items: Sequence[Any]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(map(str, items[:NAMED])) + more


def side(images: np.ndarray) -> str:
    """Height × width."""
    return f"{images.shape[2]}×{images.shape[3]}"


def as_json(found: Sequence[Score], protocol: dict[str, Any]) -> dict[str, Any]:
    """Numbers and words, as `metrics/<run>.json` and its protocol have them."""
    return {
        "scores": {
            score.name: {
                "value": score.value.value,
                **({"stderr": score.value.stderr} if score.value.stderr is not None else {}),
                **({"floor": score.floor.value} if score.floor else {}),
                "better": score.metric.better,
                "definition": score.metric.definition,
            }
            for score in found
        },
        "protocol": protocol,
    }


def as_table(found: Sequence[Score], protocol: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [("score", "value", "± error", "floor", "")]
    for score in found:
        error = "" if score.value.stderr is None else f"{score.value.stderr:.2g}"
        floor = "" if score.floor is None else f"{score.floor.value:.4g}"
        arrow = "↓" if score.metric.better == "lower" else "↑"
        lines.append((f"{score.name} {arrow}", f"{score.value.value:.4g}", error, floor, score.metric.definition))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ]
    return "\n".join([*rows, "", *(f"{key}: {value}" for key, value in protocol.items())])
