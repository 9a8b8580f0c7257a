"""Model families. The registry is the file name: a broken sibling never stops another family."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from genfoundry.contract import DataSpec, GenerativeModel
from genfoundry.params import ParamsError, validate


def families() -> tuple[str, ...]:
    """Names of all families, by their files, without importing any."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def family(name: str) -> type[GenerativeModel]:
    """The one `GenerativeModel` defined in `models/<name>.py`.

    Raises:
        LookupError: no such file, or a file that does not define exactly one family.
    """
    if name not in families():
        raise LookupError(f"unknown family {name!r}; there are {', '.join(families())}")
    module = importlib.import_module(f"{__name__}.{name}")
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, GenerativeModel) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise LookupError(f"models/{name}.py defines {len(found)} families; it must define exactly one")
    return found[0]


def build(name: str, model: Mapping[str, Any], data: DataSpec, path: str = "model") -> GenerativeModel:
    """A family's model with fresh weights.

    Raises:
        ParamsError: `model` does not fit the family's Params, or the images; the lines name keys below `path`.
    """
    try:
        cls = family(name)
    except LookupError as error:
        raise ParamsError(f"{path.removesuffix('.model')}.family: {error}") from None
    params = validate(cls.Params, model, path)
    try:
        return cls(params, data)
    except ParamsError as error:
        raise ParamsError(f"{path}: {error}") from None
