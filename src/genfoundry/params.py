"""Every number of a run, read from params.yaml and checked before any work starts.

An error names the dotted path of what is wrong, one line each.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from genfoundry.spec import IMAGE_KEYS

PARAMS = Path("params.yaml")
NO_WEIGHTS = "none"  # what needs no published weights depends on the file weights/none

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Part = Literal["train_images", "train_labels", "test_images", "test_labels"]
Degradation = Literal["noise", "mask", "scale"]  # functions of data/degradations.py
Hashed = Literal[Part, "tree"]  # what a digest is of: arrays, or all images in files
Extractor = Literal["efficientnet_lite0", "inception_2015"]  # of `weights`, and of `judge/published.py`
VariantName = Literal["fp16", "int8"]  # functions of export/variants.py
Layout = Literal["classes", "pairs", "domains"]  # "image" [and "label"]; "source" and "target"; "a" and "b"
Folder = Annotated[str, Field(pattern=r"^[^/\\.][^/\\]*$")]  # the name of one that is not hidden
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


T = TypeVar("T")
S = TypeVar("S", bound="Strict")


class ParamsError(ValueError):
    """params.yaml is wrong; the message has one line per mistake, each with its dotted path."""


class Strict(BaseModel):
    """Frozen, typed to the letter, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Optimizer(Strict):
    """How one phase's parameters move."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: PositiveFloat
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Annotated[int, Field(ge=0)] = 0


class Training(Strict):
    """The loop's settings. `checkpoint_every` and `sample_every` are multiples of `log_every`."""

    steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    optimizers: dict[Name, Optimizer]
    precision: Literal["fp32", "bf16"] = "fp32"
    ema: Fraction | None = None
    grad_clip: PositiveFloat | None = None
    log_every: PositiveInt = 50
    sample_every: PositiveInt = 500
    pictures: PositiveInt = 64  # images in a sample grid
    collapse_below: Fraction = 0.5  # of real images' diversity: samples under it ring the alarm
    checkpoint_every: PositiveInt = 500

    @model_validator(mode="after")
    def _aligned(self) -> Training:
        # A checkpoint in the middle of a logging window would lose that window's first steps on resume.
        for name in ("sample_every", "checkpoint_every"):
            if getattr(self, name) % self.log_every:
                raise ValueError(f"{name} must be a multiple of log_every ({self.log_every})")
        return self


class Table(Strict):
    """Parquet files whose rows hold encoded images; `image`, `group` and `split` are names of columns."""

    file: str  # or a pattern, as `Source.files`
    image: str
    group: str = ""
    split: str = ""


class Source(Strict):
    """One place that data can come from; `kind` names a function of `data/sources.py`.

    It gives arrays, unless `files` or `table` says which images to take from it, or it is a folder.
    """

    kind: Literal["torchvision", "npm", "pip", "sdist", "debian", "folder", "parts"]
    package: str = ""
    version: str = ""
    sha256: Sha256 | None = None  # of an sdist's archive
    path: str = ""  # of a folder: absolute, from ~, or relative to the repository
    parts: tuple[Source, ...] = ()  # sources that are one data set together
    files: str = ""  # `*` within a name, `**` across folders; `{group}` and `{split}` stand for one folder each
    table: Table | None = None
    group: Folder = "images"  # of images whose place in the source names none
    splits: dict[Literal["train", "test"], tuple[str, ...]] = {}  # which of the source's splits each is made of
    together: str = ""  # a JSON list; images that one entry names stay on one side of the split

    @field_validator("files")
    @classmethod
    def _names_images(cls, files: str) -> str:
        if files and "*" not in files[files.rfind("}") + 1 :]:
            raise ValueError("needs a * after the last placeholder: it stands for the images' names")
        return files

    @model_validator(mode="after")
    def _complete(self) -> Source:
        wanted = {"folder": "path", "parts": "parts"}.get(self.kind, "package")
        given = [key for key in ("package", "path", "parts") if getattr(self, key)]
        if given != [wanted]:
            raise ValueError(f"a source of kind {self.kind} has {wanted} alone, not: {', '.join(given) or 'none'}")
        if self.kind in ("npm", "pip", "sdist") and not self.version:
            raise ValueError("a package of this kind needs its version")
        if self.kind == "sdist" and not self.sha256:
            raise ValueError("an sdist needs its sha256, because pip runs the setup.py inside")
        if not all(part.gives_images for part in self.parts):
            raise ValueError("each part is a folder, or has files or a table that says which are its images")
        if self.files and self.table:
            raise ValueError("images come from files or from a table, not from both")
        return self

    @property
    def gives_images(self) -> bool:
        """Images in files, not arrays."""
        return self.kind in ("folder", "parts") or bool(self.files or self.table)

    @property
    def folders(self) -> tuple[str, ...]:
        """Paths on this machine that it reads."""
        return (self.path,) if self.path else tuple(chain(*(part.folders for part in self.parts)))

    @property
    def is_local(self) -> bool:
        """Nothing of it comes from elsewhere."""
        return self.kind == "folder" or (bool(self.parts) and all(part.is_local for part in self.parts))


class Weights(Strict):
    """Published weights of a network: where they come from and what their file must hash to."""

    sources: tuple[Source, ...] = Field(min_length=1)
    sha256: Sha256
    licence: str

    @field_validator("sources")
    @classmethod
    def _one_file(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if any(source.parts for source in sources):
            raise ValueError("weights are one file, which no parts make up")
        return sources


class Judge(Strict):
    """A classifier, trained on the data set itself, that gives its features and labels."""

    extractor: Literal["none"]  # no default, because DVC wants to see the key
    channels: PositiveInt
    features: PositiveInt
    accuracy: Fraction  # on the test split; a judge below it is not fit to measure with
    training: Training


class PublishedJudge(Strict):
    """A published network that gives features where there are no labels to train a judge with."""

    extractor: Literal["efficientnet_lite0"]
    size: Annotated[int, Field(ge=32)]  # pixels of a side, to which images are resized


def _kind(judge: Any) -> str:
    extractor = judge.get("extractor") if isinstance(judge, Mapping) else getattr(judge, "extractor", None)
    return "[trained]" if extractor in (None, NO_WEIGHTS) else "[published]"


class Dataset(Strict):
    """A data set: where it comes from, what its content must hash to, what it looks like."""

    layout: Layout = "classes"
    sources: tuple[Source, ...] = Field(min_length=1)
    sha256: dict[Hashed, Sha256]  # none is needed where the data are a local folder
    shape: tuple[PositiveInt, Annotated[int, Field(ge=4)], Annotated[int, Field(ge=4)]]  # C, H, W
    fit: Literal["exact", "resize"] | None = None  # where sizes differ; null: exact for arrays, resize for files
    classes: tuple[str, ...] = ()  # none: images without labels
    groups: dict[str, tuple[str, ...]] = {}  # class, side or domain: the source's groups that it is made of
    halves: bool = False  # domains of one name: train on disjoint halves of them, hold out whole pairs
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # held out where the source has no split of its own
    duplicates: Literal["keep", "drop"] = "keep"  # of one image, in files; both ways on one side of the split
    licence: str
    limit: PositiveInt | None = None  # images kept of each split
    judge: Annotated[
        Annotated[Judge, Tag("[trained]")] | Annotated[PublishedJudge, Tag("[published]")], Discriminator(_kind)
    ]

    @field_validator("sources")
    @classmethod
    def _alike(cls, sources: tuple[Source, ...], info: ValidationInfo) -> tuple[Source, ...]:
        kinds = {source.gives_images for source in sources}
        if len(kinds) > 1:
            raise ValueError("some give arrays, some images: `files` or `table` says which files are images")
        if kinds == {False} and info.data.get("layout", "classes") != "classes":
            raise ValueError(f"arrays have no {info.data['layout']}")
        return sources

    @field_validator("sha256")
    @classmethod
    def _all_parts(cls, digests: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if "sources" not in info.data:  # which is the mistake
            return digests
        sources: tuple[Source, ...] = info.data["sources"]
        wanted = {"tree"} if any(source.gives_images for source in sources) else {*get_args(Part)}
        missing = [part for part in (*get_args(Part), "tree") if part in wanted - set(digests)]
        if missing and (digests or not all(source.is_local for source in sources)):
            raise ValueError(f"{', '.join(missing)} missing")
        if set(digests) - wanted:
            raise ValueError(f"{', '.join(sorted(set(digests) - wanted))} is not what these sources give")
        return digests

    @field_validator("shape")
    @classmethod
    def _grey_or_colour(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if shape[0] not in (1, 3):
            raise ValueError("the first number is 1 for grey or 3 for colour")
        return shape

    @field_validator("classes")
    @classmethod
    def _labels(cls, classes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(classes) == 1 or len(set(classes)) < len(classes):
            raise ValueError("two different names or more, or none")
        if not {"layout", "sources"} <= set(info.data):
            return classes
        if classes and info.data["layout"] != "classes":
            raise ValueError(f"images in {info.data['layout']} have no classes")
        if not classes and not any(source.gives_images for source in info.data["sources"]):
            raise ValueError("arrays come with labels, whose names these are")
        return classes

    @field_validator("judge")
    @classmethod
    def _learns_from_labels(cls, judge: Judge | PublishedJudge, info: ValidationInfo) -> Judge | PublishedJudge:
        if isinstance(judge, Judge) and info.data.get("classes") == ():
            raise ValueError("without classes there is nothing to train on: name a published extractor")
        return judge

    @field_validator("halves")
    @classmethod
    def _of_domains(cls, halves: bool, info: ValidationInfo) -> bool:
        if halves and info.data.get("layout", "domains") != "domains":
            raise ValueError("is for domains, whose files have counterparts of the same name")
        return halves

    @field_validator("groups")
    @classmethod
    def _known_roles(cls, groups: dict[str, tuple[str, ...]], info: ValidationInfo) -> dict[str, tuple[str, ...]]:
        if not {"layout", "classes"} <= set(info.data):
            return groups
        layout = info.data["layout"]
        roles = IMAGE_KEYS[layout] if layout != "classes" else info.data["classes"] or tuple(groups)
        if groups and set(groups) != set(roles):
            raise ValueError(f"needs exactly {', '.join(roles)}")
        twice = [name for name, count in Counter(chain(*groups.values())).items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} cannot be in two places")
        return groups


class Data(Strict):
    """What a run learns from, and how it sees it; likelihoods and restorations are of images seen that way too."""

    dataset: Name
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)  # learn from these alone
    labels: PositiveInt | None = None  # images that keep their label, as many of each class; the others lose it
    unlabelled: bool = True  # the others are seen too
    flip: bool = False  # mirror half of the images left to right, drawn anew at each step, in training alone
    binarize: bool = False  # a pixel is 1 with its grey value's probability, drawn anew at each step
    degradations: dict[Degradation, PositiveFloat] = {}  # what a `restore` graph undoes, and how much of it
    patch: PositiveInt | None = None  # the side of a random square of each image, which training sees in its place

    @field_validator("degradations")
    @classmethod
    def _one_size(cls, degradations: dict[Degradation, float]) -> dict[Degradation, float]:
        scale = degradations.get("scale", 2.0)
        if scale < 2.0 or scale % 1.0:
            raise ValueError("scale is a whole number, 2 or more")
        if degradations.get("mask", 0.0) >= 1.0:
            raise ValueError("mask is the share of pixels that are hidden, below 1")
        if "scale" in degradations and len(degradations) > 1:
            raise ValueError("scale takes no turns with others, which keep the size")
        return degradations

    @property
    def scale(self) -> int:
        """How many times smaller the sides of degraded images are."""
        return int(self.degradations.get("scale", 1))

    @field_validator("unlabelled")
    @classmethod
    def _of_few(cls, unlabelled: bool, info: ValidationInfo) -> bool:
        if not unlabelled and info.data.get("labels") is None:
            raise ValueError("without `labels` no image loses its label")
        return unlabelled


class RunEvaluation(Strict):
    """What a run is compared with."""

    rival: Name  # another run, whose shipped files are the baseline; itself where there is none
    perceptual: Name  # an entry of `weights` that measures distances between images, or none; DVC wants the key


class Run(Strict):
    """One trained model: a family, its data, its own parameters, how it is trained and what it has to beat."""

    family: Name
    weights: Name  # an entry of `weights` for its losses, or none; no default, because DVC wants to see the key
    data: Data
    model: dict[str, Any]
    training: Training
    evaluation: RunEvaluation

    @property
    def trained_on(self) -> dict[str, Any]:
        """All that its weights depend on, as plain types."""
        return self.model_dump(mode="json", exclude={"evaluation"})


class Augmentation(Strict):
    """A small classifier that learns from labelled images, with generated ones in its batches and without."""

    seeds: Annotated[int, Field(ge=2)]  # trainings of each kind
    generated: PositiveInt  # images, as many of each class
    share: Annotated[float, Field(gt=0.0, lt=1.0)]  # of a batch that is generated
    channels: PositiveInt
    features: PositiveInt
    training: Training


class Evaluation(Strict):
    """The protocol that all scores share."""

    samples: Annotated[int, Field(ge=100)]  # that a generator makes
    held_out: Annotated[
        int, Field(ge=100)
    ]  # images that are reconstructed, classified, given a likelihood, at most
    extractors: tuple[Extractor, ...]  # published networks that see samples too, beside each data set's judge
    extracted: Annotated[int, Field(ge=100)]  # samples that these see, which takes them seconds for each hundred
    kid_subsets: PositiveInt
    kid_subset_size: Annotated[int, Field(ge=2)]
    mode_share: Fraction  # of a fair share, from which a class counts as covered
    pictures: PositiveInt  # images in a grid
    restored: PositiveInt  # images that are degraded and restored; baselines take a millisecond for each
    augmentation: Augmentation

    @model_validator(mode="after")
    def _subsets_fit(self) -> Evaluation:
        if self.extracted > self.samples:
            raise ValueError(f"extracted must be at most samples ({self.samples})")
        if self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size must be at most samples ({self.samples})")
        return self


class Gate(Strict):
    """What ONNX Runtime may differ from torch by; see docs/architecture.md."""

    batches: tuple[PositiveInt, ...] = Field(min_length=2)
    sizes: tuple[PositiveInt, ...] = Field(default=(16, 17, 40), min_length=1)  # of other dynamic axes, in turn
    seeds: PositiveInt
    max_abs: PositiveFloat
    mean_abs: PositiveFloat
    flips: PositiveFloat  # share of uint8 pixels
    min_spread: PositiveFloat  # an output that moves less than this with its input is constant

    @field_validator("batches")
    @classmethod
    def _several_at_once(cls, batches: tuple[int, ...]) -> tuple[int, ...]:
        if max(batches) < 2:
            raise ValueError("at least one must be 2 or more: one input cannot be told from another")
        return batches


class Variant(Strict):
    """What the files of a run may lose in a smaller form."""

    max_abs: PositiveFloat  # of the gate, in place of its own
    mean_abs: PositiveFloat
    lead: PositiveFloat  # share of the lead over the baseline, by the run's first score


class Export(Strict):
    """How graphs are written and what they must pass."""

    opset: Annotated[int, Field(ge=18, le=23)]
    gate: Gate
    calibration: PositiveInt  # training images that say how far activations reach
    variants: dict[VariantName, Variant]


class Tracking(Strict):
    """How the journal reaches MLflow. None of it changes a result."""

    enabled: bool = True
    poll_seconds: PositiveFloat = 2.0
    timeout_seconds: Annotated[float, Field(ge=1.0)] = 10.0  # a server that takes longer is treated as absent
    retry_seconds: PositiveFloat = 15.0  # until an absent server is asked again
    drain_seconds: PositiveFloat = 20.0  # how long a finished stage waits for the last points to arrive


class Params(Strict):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    threads: PositiveInt
    weights: dict[Name, Weights]
    datasets: dict[Name, Dataset] = Field(min_length=1)
    runs: dict[Name, Run] = Field(min_length=1)
    evaluation: Evaluation
    export: Export
    tracking: Tracking


def validate(schema: type[S], tree: Any, path: str = "") -> S:
    """`tree` as a `schema`.

    Raises:
        ParamsError: one line for each mistake, with its dotted path below `path`.
    """
    try:
        # As JSON, strict types still admit YAML's lists where a tuple is meant.
        return schema.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise ParamsError("\n".join(_lines(schema, error, path))) from None


def read(file: Path = PARAMS) -> dict[str, Any]:
    """The raw tree of a YAML 1.2 file, as DVC reads it (`1e-3` is a number).

    Raises:
        ParamsError: the file is absent or not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(file)
    except FileNotFoundError:
        raise ParamsError(f"{file} is not here; run from the repository's root") from None
    except MarkedYAMLError as error:
        where = error.problem_mark
        raise ParamsError(f"{file}:{where.line + 1 if where else '?'}: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ParamsError(f"{file}: expected a mapping at the top")
    return tree


def write(tree: Mapping[str, Any], file: Path) -> None:
    """The inverse of `read`."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(tree, file)


def load(file: Path = PARAMS) -> Params:
    """All of params.yaml but the families' own `model` sections, which `model_params` checks."""
    params = validate(Params, read(file))
    unknown = list(_unknown(params))
    if unknown:
        raise ParamsError("\n".join(unknown))
    return params


def _unknown(params: Params) -> Iterator[str]:
    """A line for each name that stands for nothing."""
    for extractor in params.evaluation.extractors:
        if extractor not in params.weights:
            yield f"evaluation.extractors: there is no weights.{extractor}"
    for name, dataset in params.datasets.items():
        if dataset.judge.extractor not in (NO_WEIGHTS, *params.weights):
            yield f"datasets.{name}.judge.extractor: there is no weights.{dataset.judge.extractor}"
    for name in params.runs:
        yield from _unknown_in_run(params, name)


def _unknown_in_run(params: Params, name: str) -> Iterator[str]:
    """A line for each name in a run that stands for nothing."""
    run = params.runs[name]
    dataset = params.datasets.get(run.data.dataset)
    known = dataset.classes if dataset else run.data.classes or ()
    if run.weights not in (NO_WEIGHTS, *params.weights):
        yield f"runs.{name}.weights: there is no weights.{run.weights}"
    if run.evaluation.perceptual not in (NO_WEIGHTS, *params.weights):
        yield f"runs.{name}.evaluation.perceptual: there is no weights.{run.evaluation.perceptual}"
    if dataset is None:
        yield f"runs.{name}.data.dataset: {run.data.dataset!r} is not one of {', '.join(params.datasets)}"
    for label in run.data.classes or ():
        if label not in known:
            yield f"runs.{name}.data.classes: {label!r} is not one of {', '.join(known)}"
    rival = params.runs.get(run.evaluation.rival)
    if rival is None:
        yield f"runs.{name}.evaluation.rival: {run.evaluation.rival!r} is not one of {', '.join(params.runs)}"
    elif rival.data.dataset != run.data.dataset:
        yield (
            f"runs.{name}.evaluation.rival: {run.evaluation.rival!r} learns from {rival.data.dataset}, "
            f"not from {run.data.dataset}; say {name} where there is no rival"
        )


def load_run(name: str, file: Path = PARAMS) -> tuple[Params, Run]:
    """The whole of params.yaml and the run called `name`."""
    params = load(file)
    return params, _entry("runs", params.runs, name)


def load_weights(name: str, file: Path = PARAMS) -> Weights:
    """The weights called `name`."""
    return _entry("weights", load(file).weights, name)


def load_dataset(name: str, file: Path = PARAMS) -> tuple[Params, Dataset]:
    """The whole of params.yaml and the data set called `name`."""
    params = load(file)
    return params, _entry("datasets", params.datasets, name)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping under their dotted paths."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{path}.")
        else:
            yield path, value


def _entry(section: str, entries: Mapping[str, T], name: str) -> T:
    if name not in entries:
        raise ParamsError(f"{section}.{name}: not in params.yaml, which has {', '.join(entries)}")
    return entries[name]


def _lines(schema: type[BaseModel], error: ValidationError, path: str) -> Iterator[str]:
    found = error.errors()
    for item in found:
        below = [other for other in found if other is not item and other["loc"][: len(item["loc"])] == item["loc"]]
        if item["type"] == "too_short" and below:
            continue  # only because of what is wrong inside
        where = [part for part in map(str, item["loc"]) if not part.startswith("[")]  # pydantic's words for where
        dotted = ".".join(filter(None, [path, *where]))
        if item["type"] == "extra_forbidden":
            known = [key for key in _keys(schema, where[:-1]) if key != where[-1]]  # a key of the other choice
            near = difflib.get_close_matches(where[-1], known, n=1)
            yield f"{dotted}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
        else:
            got = "" if item["type"] == "missing" else f" (got {item['input']!r})"
            yield f"{dotted}: {item['msg'].removeprefix('Value error, ')}{got if len(got) < 80 else ''}"


def _keys(schema: type[BaseModel], where: list[str]) -> list[str]:
    """Names of the fields at `where` below `schema`; mappings, choices and options are looked through."""
    found = [schema]
    for part in where:
        fields = [s.model_fields[part].annotation if part in s.model_fields else s for s in found]
        found = [model for annotation in fields for model in _models(annotation)]
    return [key for model in found for key in model.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The schemas that a type is made of."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _models(part)
