"""Arrays out of the kinds of pickle that weights are published in, by an unpickler that builds nothing else.

A pickle is a program: loading it calls whatever it names. What makes this safe is `find_class`, through which every
name has to pass: instead of what the file names it gives stand-ins defined here, which only note what they are
called with, and it refuses all other names. Neither NumPy nor torch runs on the file's orders; the arrays are made
afterwards, of numbers alone, within the bytes that the file has.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfoundry.data.sources import SourceError
from genfoundry.params import flatten

TORCH = 0x1950A86A20F9469CFC6C  # the first object of a file that torch wrote before 1.6
ARCHIVE = b"PK"  # the first bytes of one that it writes since
SCRIPT = "__torch__."  # begins the names of a TorchScript's own classes


class StateDict(dict):
    """Stands in for the mapping of a torch file, whose attributes are versions of modules."""

    def __setstate__(self, _: Any) -> None:
        """Attributes are not needed."""


class ScriptModule(dict):
    """Stands in for a module of a TorchScript, whose class is code in the file: its attributes, and no method."""

    def __setstate__(self, attributes: Mapping[str, Any]) -> None:
        """What the file says they are."""
        self.update(attributes)


class Dtype:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """The byte order is the second of what NumPy notes."""
        self.order = state[1]


class Array:
    """Stands in for `numpy.ndarray`, and for the function that makes an empty one to be filled."""

    def __init__(self, *_: Any) -> None:
        self.shape, self.dtype, self.fortran, self.content = (0,), Dtype("f4"), False, b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Version, shape, dtype, order of the axes, bytes."""
        _, self.shape, self.dtype, self.fortran, self.content = state

    def value(self) -> np.ndarray:
        """The numbers."""
        flat = np.frombuffer(self.content, numbers(self.dtype.order + self.dtype.code))
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


@dataclass
class View:
    """Stands in for a torch tensor: a strided view of a storage, whose bytes come later in the file."""

    storage: tuple[str, str]  # key and dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: Any

    def value(self, storages: Mapping[str, bytes]) -> np.ndarray:
        """The numbers; NumPy refuses a view that leaves its storage."""
        key, code = self.storage
        dtype = numbers(code)
        strides = [dtype.itemsize * stride for stride in self.strides]
        return np.ndarray(self.shape, dtype, storages[key], dtype.itemsize * self.offset, strides)


STAND_INS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): StateDict,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy._core.multiarray", "_reconstruct"): Array,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
    ("torch._utils", "_rebuild_tensor_v2"): View,
    ("torch.jit._pickle", "build_intlist"): list,
}


class ArraysOnly(pickle.Unpickler):
    """Knows the names above and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        """Every name of the file comes through here, before anything is called."""
        if module.startswith(SCRIPT):
            return ScriptModule
        if (module, name) not in STAND_INS:
            raise SourceError(f"the file asks for {module}.{name}, which is no array: refused, and nothing was run")
        return STAND_INS[module, name]

    def persistent_load(self, reference: Any) -> tuple[str, str]:
        """A torch storage: its key and dtype."""
        _, code, key, *_ = reference
        return key, code


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Arrays by dotted names: from nested mappings of NumPy arrays, a state dict, or a TorchScript's modules.

    Raises:
        SourceError: damaged, of another kind, or hostile.
    """
    try:
        stream = io.BytesIO(content)
        if content.startswith(ARCHIVE):
            return {name: value.copy(order="C") for name, value in _archived(stream)}
        tree = ArraysOnly(stream).load()
        values = _torch(stream) if tree == TORCH else {key: leaf.value() for key, leaf in flatten(tree)}
        return {str(name): value.copy(order="C") for name, value in values.items()}
    except SourceError:
        raise
    except Exception as error:  # the boundary: a damaged file fails in any way
        raise SourceError(f"not a file of arrays: {type(error).__name__}: {error}") from error


def numbers(code: str) -> np.dtype:
    """A dtype of numbers, as no other may meet bytes of a file.

    Raises:
        SourceError: of anything else.
    """
    if not re.fullmatch("[<>][fi][248]", code):
        raise SourceError(f"the file has an array of {code!r}, not of numbers")
    return np.dtype(code)


def _torch(stream: io.BytesIO) -> dict[str, np.ndarray]:
    """After the first object: protocol, the machine's types, the state dict, the storages' keys, their bytes."""
    _, _, state, keys = (ArraysOnly(stream).load() for _ in range(4))
    sizes = {key: numbers(code).itemsize for key, code in (view.storage for view in state.values())}
    storages = {key: stream.read(sizes[key] * int.from_bytes(stream.read(8), "little")) for key in keys}
    return {name: view.value(storages) for name, view in state.items()}


def _archived(stream: io.BytesIO) -> Iterator[tuple[str, np.ndarray]]:
    """Of a zip file: one pickle, and a file for each storage beside it. Its code is not read."""
    with zipfile.ZipFile(stream) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        tree = ArraysOnly(io.BytesIO(_stored(archive, pickled))).load()
        views = {name: leaf for name, leaf in flatten(tree) if isinstance(leaf, View)}
        folder = pickled.removesuffix("data.pkl") + "data/"
        for name, view in views.items():
            yield name, view.value({view.storage[0]: _stored(archive, folder + view.storage[0])})


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise SourceError(f"{name} is compressed, as torch writes none: it might be larger than memory")
    return archive.read(name)
