"""Scores of images alone: of two folders, or of a shipped generator beside a prepared data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genfoundry import __version__
from genfoundry.data.batches import Prepared
from genfoundry.data.folder import decoded, files_of, shown
from genfoundry.data.pretrained import fetch_weights
from genfoundry.files import folder_atomic, sha256, sha256_file
from genfoundry.judge.extractor import Extractor, as_bytes
from genfoundry.judge.published import EXTRACTORS, export_published
from genfoundry.metrics import Estimate, Metric, Paired, Sampled, ms_ssim, mse, psnr, ssim
from genfoundry.metrics.lpips import METRIC as LPIPS
from genfoundry.metrics.lpips import LpipsDistance
from genfoundry.networks.lpips import SMALLEST
from genfoundry.params import Params, load
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import Artifact, ShippedGraph
from genfoundry.runtime.container import SEAL_KEY
from genfoundry.tasks.generate import METRICS

DEFAULTS = Path(__file__).with_name("params.yaml")  # the repository's: protocol, and where weights come from
LEAST = 50  # images of a set
PAIRED = (psnr.METRIC, ssim.METRIC, ms_ssim.METRIC, mse.METRIC, LPIPS)
TRUNK = "alexnet"  # of LPIPS
ROWS_SEED = 0  # which training images are taken, where there are more than enough


class ScoreError(ValueError):
    """Images that cannot be compared; the message says what to do."""


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how."""

    real: Path  # a folder of images, or a prepared data set
    samples: Path  # a folder of images, or a generator's file or folder
    extractor: str = "inception_2015"
    train: Path | None = None  # a folder of images that may have been copied; a prepared data set has its own
    count: int = 2000  # samples that a generator makes
    seed: int = 0
    size: int | None = None  # pixels of a side, to which images of folders are cut and resized
    paired: bool = False  # files of one name belong together


@dataclass(frozen=True)
class Score:
    """One line of the result."""

    metric: Metric
    name: str
    value: Estimate
    floor: Estimate | None  # of as many real training images, where so many are known


def score(request: Request) -> tuple[list[Score], dict[str, Any]]:
    """The scores, and the protocol that they are comparable under.

    Raises:
        ScoreError, DataError, MetricError, ArtifactError, SourceError: images, generator or weights will not do.
    """
    check(request)
    params = load(DEFAULTS)
    return paired(request, params) if request.paired else distributions(request, params)


def check(request: Request) -> None:
    """Each path holds what its place wants: a mistake costs no time.

    Raises:
        ScoreError, DataError: one does not.
    """
    known = {"real": is_prepared(request.real), "samples": is_generator(request.samples)}
    if request.paired and any(known.values()):
        raise ScoreError("--paired compares two folders, file by file of one name")
    if request.paired and request.train:
        raise ScoreError("--train is for distributions; --paired compares each file with its own alone")
    if request.size and all(known.values()):
        raise ScoreError("--size is for folders of images; prepared data and generators have a size of their own")
    for place, wanted in (("real", "or a prepared data set"), ("samples", "or an .onnx generator")):
        path = getattr(request, place)
        if not known[place] and not path.is_dir():
            raise ScoreError(f"{path} is not a folder of images, {wanted}")
        if not known[place]:
            files_of(path)
    if request.train:
        files_of(request.train)


def distributions(request: Request, params: Params) -> tuple[list[Score], dict[str, Any]]:
    """All of `METRICS` that the extractor's features allow."""
    images = images_of(request)
    extractor = extractor_of(request.extractor, params)
    seen = {name: extractor.look(batch, name) for name, batch in images.items()}
    train = seen.get("training images")
    evidence = Sampled(seen["samples"], seen["real images"], train, extractor.protocol["extractor"])
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
    n, n_real = (len(images[name]) for name in ("samples", "real images"))
    counts = {"n": n, "n_real": n_real, "n_train": len(train or ())}
    subsets = {
        "kid_subsets": params.evaluation.kid_subsets,
        "kid_subset_size": min(params.evaluation.kid_subset_size, n, n_real),
    }
    return found, {**about(request, images), **counts, **extractor.protocol, **subsets, **remark(evidence)}


def remark(evidence: Sampled) -> dict[str, str]:
    """What to bear in mind of so few images, if they are few."""
    if not evidence.few:
        return {}
    least = min(len(evidence.samples), len(evidence.real))
    few = f"{least} images for {evidence.width} features"
    return {"note": f"{few}: the Fréchet distance is mostly bias, the kernel's has none"}


def images_of(request: Request) -> dict[str, np.ndarray]:
    """What is looked at, (N, C, H, W) uint8 each, of one size.

    Raises:
        ScoreError: too few, or of different sizes.
    """
    found = {"samples": sample_images(request), "real images": real_images(request)}
    train = training_images(request)
    found |= {} if train is None else {"training images": train}
    for name, images in found.items():
        if len(images) < LEAST:
            raise ScoreError(f"{len(images)} {name} say little of a distribution; {LEAST} are the least")
    sizes = {name: side(images) for name, images in found.items()}
    if len(set(sizes.values())) > 1:
        words = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ScoreError(f"sizes differ: {words}; --size N cuts and resizes the images of folders to N pixels")
    return found


def floor_of(evidence: Sampled) -> Sampled | None:
    """As many training images in the samples' place, where so many are known."""
    count = len(evidence.samples)
    if evidence.train is None or len(evidence.train) < count:
        return None
    rows = np.random.default_rng(ROWS_SEED).permutation(len(evidence.train))[:count]
    return Sampled(evidence.train.take(rows), evidence.real, extractor=evidence.extractor)


def paired(request: Request, params: Params) -> tuple[list[Score], dict[str, Any]]:
    """Of images and what they should be, file by file of one name.

    Raises:
        ScoreError: names or sizes differ.
    """
    names = sorted(path.relative_to(request.real) for path in files_of(request.real))
    lacking = [name for name in names if not (request.samples / name).exists()]
    if lacking:
        raise ScoreError(f"{request.samples} lacks {shown(lacking)}; --paired compares files of one name")
    both = [
        decoded(folder, [folder / name for name in names], request.size)
        for folder in (request.real, request.samples)
    ]
    if both[0].shape != both[1].shape:
        raise ScoreError(f"sizes differ: {side(both[0])} and {side(both[1])}; --size N makes both N pixels")
    target, output = map(from_bytes, both)
    distances, words = None, {}
    if min(target.shape[2:]) >= SMALLEST[TRUNK]:
        distance = LpipsDistance(weights_of(f"lpips_{TRUNK}", params))
        distances, words = distance(target, output), distance.protocol
    evidence = Paired(target, output, distances)
    found = [
        Score(metric, metric.name, metric.compute(evidence, params.evaluation), None)
        for metric in PAIRED
        if metric.fits(evidence)
    ]
    return found, {**about(request, {"real images": both[0]}), "n": len(names), **words}


def about(request: Request, images: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What was compared."""
    size = side(images["real images"])
    words = {"real": str(request.real), "samples": str(request.samples), "images": size}
    if request.size:
        words["images"] = f"cut and resized to {size}, Lanczos, antialiased"
    if is_generator(request.samples):
        words |= {"file_sha256": sha256_file(generator_of(request.samples).path), "seed": str(request.seed)}
    return words


def real_images(request: Request) -> np.ndarray:
    """(N, C, H, W) uint8: a prepared data set's test split, or a folder's files."""
    if is_prepared(request.real):
        return np.asarray(Prepared(request.real).split("test").images)
    return decoded(request.real, files_of(request.real), request.size)


def training_images(request: Request) -> np.ndarray | None:
    """(N, C, H, W) uint8: of the folder that is named, or of a prepared data set, as many as it has test images."""
    if request.train:
        return decoded(request.train, files_of(request.train), request.size)
    if not is_prepared(request.real):
        return None
    train, test = (Prepared(request.real).split(name).images for name in ("train", "test"))
    return some(train, len(test))


def some(images: np.ndarray, count: int) -> np.ndarray:
    """(count, C, H, W) of the images at random, or all, in their order."""
    rows = np.random.default_rng(ROWS_SEED).permutation(len(images))[:count]
    return np.asarray(images[np.sort(rows)])


def sample_images(request: Request) -> np.ndarray:
    """(N, C, H, W) uint8: a generator's, or a folder's files."""
    if is_generator(request.samples):
        return as_bytes(Artifact.load(request.samples).generate(request.count, request.seed))
    return decoded(request.samples, files_of(request.samples), request.size)


def is_generator(path: Path) -> bool:
    """Whether it is, or holds, an ONNX file."""
    return path.suffix == ".onnx" or any(path.glob("*.onnx"))


def generator_of(path: Path) -> ShippedGraph:
    """The graph that makes samples."""
    return Artifact.load(path).graph("generate")


def is_prepared(folder: Path) -> bool:
    """Whether the pipeline's stage `prepare` wrote it."""
    return (folder / "dataset.json").exists()


def extractor_of(name: str, params: Params) -> Extractor:
    """A published network, fetched and exported at its first use; what it saw is kept beside it by content."""
    digest = sha256(f"{__version__}{SEAL_KEY!r}{EXTRACTORS[name]}{params.weights[name].sha256}".encode())
    folder = cache_home() / "extractors" / f"{name}-{digest[:16]}"
    if not folder.exists():
        weights = weights_of(name, params)
        quick = params.export.gate.model_copy(update={"batches": (1, 2), "seeds": 1})
        with folder_atomic(folder) as target:
            export_published(name, None, target, params.export.model_copy(update={"gate": quick}), weights.parent)
    return Extractor(folder, cache_home() / "features")


def weights_of(name: str, params: Params) -> Path:
    """The folder of fetched weights, by their content; the download is kept."""
    folder = cache_home() / "weights" / params.weights[name].sha256 / name
    if not folder.exists():
        print(f"fetching the weights of {name}, once", flush=True)
        fetch_weights(name, params.weights[name], folder)
    return folder


def cache_home() -> Path:
    """Where downloads and features are kept: `$XDG_CACHE_HOME/genfoundry`, or `~/.cache/genfoundry`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genfoundry"


def side(images: np.ndarray) -> str:
    """Height × width."""
    return f"{images.shape[2]}×{images.shape[3]}"


def as_json(found: Sequence[Score], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words, as `metrics/<run>.json` and its protocol have them; what is infinite is null."""
    return {"scores": {score.name: _entry(score) for score in found}, "protocol": dict(protocol)}


def _entry(score: Score) -> dict[str, Any]:
    numbers = {
        "value": score.value.value,
        "stderr": score.value.stderr,
        "floor": score.floor.value if score.floor else None,
    }
    finite = {key: value for key, value in numbers.items() if value is not None and np.isfinite(value)}
    return {"value": None, **finite, "better": score.metric.better, "definition": score.metric.definition}


def as_table(found: Sequence[Score], protocol: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = [("score", "value", "± error", "floor", "")]
    for score in found:
        error = "" if score.value.stderr is None else f"{score.value.stderr:.2g}"
        floor = "" if score.floor is None else f"{score.floor.value:.4g}"
        arrow = "↓" if score.metric.better == "lower" else "↑"
        lines.append((f"{score.name} {arrow}", f"{score.value.value:.4g}", error, floor, score.metric.definition))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join([*map(str.rstrip, rows), "", *(f"{key}: {value}" for key, value in protocol.items())])
