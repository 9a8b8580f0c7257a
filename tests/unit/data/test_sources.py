from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfoundry.data import SourceError, sources
from genfoundry.data.arrays import decode
from genfoundry.data.sources import (
    check,
    contents,
    fetch,
    from_sdist,
    from_torchvision,
    locate,
    obtain,
    run,
    unpack,
)
from genfoundry.params import Dataset, Source, validate
from tests.unit import tiny
from tests.unit.data.made import IMAGES, LABELS, idx, write_idx, write_pictures

SHA = {
    "train_images": hashlib.sha256(IMAGES.tobytes()).hexdigest(),
    "train_labels": hashlib.sha256(LABELS.tobytes()).hexdigest(),
    "test_images": hashlib.sha256(IMAGES.tobytes()).hexdigest(),
    "test_labels": hashlib.sha256(LABELS.tobytes()).hexdigest(),
}


def test_check_takes_the_content_alone() -> None:
    arrays = {"train_images": np.asfortranarray(IMAGES), "train_labels": LABELS}
    arrays |= {"test_images": IMAGES, "test_labels": LABELS}
    check(arrays, SHA)
    with pytest.raises(SourceError, match="train_labels has SHA-256"):
        check({**arrays, "train_labels": LABELS[::-1]}, SHA)
    with pytest.raises(SourceError, match="train_images is missing"):
        check({"train_labels": LABELS}, SHA)


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarball(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


CONTENT = np.random.default_rng(1).bytes(5000)
MAKERS = {"a.whl": wheel, "a.tgz": tarball, "a.tar.gz": tarball}


@pytest.mark.parametrize("name", MAKERS)
def test_archives_are_unpacked(tmp_path: Path, name: str) -> None:
    unpack(MAKERS[name](tmp_path / name, {"package/data.bin": CONTENT}), tmp_path / "out")
    assert (tmp_path / "out/package/data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("keep", [0, 30, 2000])
def test_truncated_archives_are_refused(tmp_path: Path, name: str, keep: int) -> None:
    archive = MAKERS[name](tmp_path / name, {"package/data.bin": CONTENT})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(SourceError, match=f"{name} is damaged"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("member", ["../outside", "/outside", "a/../../outside"])
def test_a_tar_member_that_leaves_the_folder_writes_nothing_outside(tmp_path: Path, member: str) -> None:
    archive = tarball(tmp_path / "a.tgz", {member: b"hostile"})
    out = tmp_path / "deep" / "out"
    if member.startswith("/"):  # tarfile's data filter makes it relative
        unpack(archive, out)
    else:
        with pytest.raises(SourceError, match="damaged"):
            unpack(archive, out)
    assert not [p for p in tmp_path.rglob("outside") if out not in p.parents]
    assert not Path("/outside").exists()


def test_a_tar_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../secret"
        archive.addfile(link)
    with pytest.raises(SourceError):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


def test_a_wheel_member_that_leaves_the_folder_stays_inside(tmp_path: Path) -> None:
    unpack(wheel(tmp_path / "a.whl", {"../outside": b"hostile"}), tmp_path / "deep" / "out")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("outside")] == ["deep/out/outside"]


def test_a_client_s_failure_carries_its_words(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no-such-client is not installed"):
        run(["no-such-client"], tmp_path)
    with pytest.raises(SourceError, match="sh said: out of order"):
        run(["sh", "-c", "echo out of order >&2; exit 3"], tmp_path)


def test_a_client_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.2)
    with pytest.raises(SourceError, match=r"sleep did not end within 0\.2 s"):
        run(["sleep", "30"], tmp_path)


SETUP = """
from pathlib import Path
from setuptools import setup
Path({mark!r}).touch()
setup(name="net", version="1.0")
"""


@pytest.fixture
def sdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source archive whose setup.py leaves a mark when it runs, in an index that is a folder."""
    setup = SETUP.format(mark=str(tmp_path / "ran"))
    members = {"net-1.0/setup.py": setup, "net-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: net\nVersion: 1.0\n"}
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    packed = {name: text.encode() for name, text in members.items()} | {"net-1.0/net.ckpt": CONTENT}
    return tarball(tmp_path / "index" / "net-1.0.tar.gz", packed)


def test_an_sdist_is_unpacked(sdist: Path, tmp_path: Path) -> None:
    pinned = hashlib.sha256(sdist.read_bytes()).hexdigest()
    (tmp_path / "out").mkdir()
    content = from_sdist(Source(kind="sdist", package="net", version="1.0", sha256=pinned), tmp_path / "out")
    assert (content / "net-1.0/net.ckpt").read_bytes() == CONTENT
    assert (tmp_path / "ran").exists(), "pip no longer runs setup.py: the hash of an sdist is not needed any more"


def test_the_setup_of_another_sdist_than_the_pinned_one_does_not_run(sdist: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SourceError, match="sha256"):
        from_sdist(Source(kind="sdist", package="net", version="1.0", sha256="0" * 64), tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "out").rglob("net*"))


def right(_: Source, folder: Path) -> Path:
    write_idx(folder)
    return folder


def wrong(_: Source, folder: Path) -> Path:
    write_idx(folder, IMAGES[::-1])
    return folder


def incomplete(_: Source, folder: Path) -> Path:
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES)[:-5])
    return folder


def absent(_: Source, __: Path) -> Path:
    raise SourceError("the registry\nsaid no")


def offline(_: Source, __: Path) -> Path:
    raise OSError("no route to host")


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    """A data set whose three sources, of different kinds, behave as the three functions do."""
    kinds = ("torchvision", "npm", "pip")

    def make(*downloads: Callable) -> Dataset:
        monkeypatch.setattr(sources, "DOWNLOADS", dict(zip(kinds, downloads, strict=True)))
        entries = [{"kind": kind, "package": f"p-{kind}", "version": "1.0"} for kind in kinds]
        tree = tiny.params_tree(datasets__dots__sources=entries, datasets__dots__sha256=SHA)
        return validate(Dataset, tree["datasets"]["dots"])

    return make


@pytest.mark.parametrize("before", [wrong, incomplete, absent, offline])
def test_the_next_source_is_tried_until_one_is_right(
    tmp_path: Path, three: Callable[..., Dataset], before: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "raw" / "dots"
    fetch("dots", three(absent, before, right), target)
    assert np.array_equal(np.load(target / "train_images.npy"), IMAGES)
    assert {p.stem for p in target.iterdir()} == set(SHA)
    assert [p.name for p in target.parent.iterdir()] == ["dots"]
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "content verified" in line] == [said[-1]]
    assert "npm p-npm@1.0 did not give the data" in said[1]


def test_the_first_right_source_is_the_last_asked(tmp_path: Path, three: Callable[..., Dataset]) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    fetch("dots", three(right, never, never), tmp_path / "dots")


def test_no_answer_is_one_error_with_a_line_for_each_source(tmp_path: Path, three: Callable[..., Dataset]) -> None:
    with pytest.raises(SourceError) as error:
        fetch("dots", three(absent, offline, wrong), tmp_path / "raw" / "dots")
    head, *lines = str(error.value).splitlines()
    assert head == "dots: no source gave the data. Tried:"
    assert lines[0] == "  torchvision p-torchvision@1.0: the registry said no"
    assert lines[1] == "  npm p-npm@1.0: no route to host"
    assert lines[2].startswith("  pip p-pip@1.0: train_images has SHA-256 ")
    assert not list((tmp_path / "raw").iterdir())


def test_obtain_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def remember(source: Source, folder: Path) -> Path:
        used.append(folder)
        return right(source, folder)

    monkeypatch.setattr(sources, "DOWNLOADS", {"npm": remember})
    arrays = obtain(Source(kind="npm", package="x", version="1.0"))
    assert set(arrays) == set(SHA)
    assert not used[0].exists()


OFFLINE = """
import socket, pathlib, sys
def refuse(*a, **k): raise OSError("the network is off")
socket.getaddrinfo = socket.socket.connect = refuse
from genfoundry.data.sources import from_torchvision, SourceError
from genfoundry.params import Source
for package in sys.argv[1:]:
    try:
        from_torchvision(Source(kind="torchvision", package=package), pathlib.Path("."))
    except (SourceError, OSError) as error:
        print(package, "refused", error)
"""


def test_torchvision_that_cannot_download_is_a_source_that_failed(tmp_path: Path) -> None:
    packages = ["MNIST", "CIFAR10", "NoSuchDataset"]
    done = tiny.python("-c", OFFLINE, *packages, cwd=tmp_path, check=False)
    refused = [line.split()[0] for line in done.stdout.splitlines() if "refused" in line]
    assert refused == packages, done.stderr[-500:]


def write_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Two training batches and a test batch as the official archive holds them, with their own checksums."""
    from genfoundry.torchvision_shim import torchvision

    cifar = torchvision.datasets.CIFAR10
    base = folder / "files" / cifar.base_folder
    base.mkdir(parents=True)
    images = np.random.default_rng(4).integers(0, 256, (6, 3, 32, 32)).astype(np.uint8)
    contents = {
        f"batch_{n}": {"data": images[n : n + 2].reshape(2, -1), "labels": [n, n + 1]} for n in range(0, 6, 2)
    } | {"meta": {"label_names": list("abcdef")}}
    for name, content in contents.items():
        (base / name).write_bytes(pickle.dumps(content))
    sums = {name: hashlib.md5((base / name).read_bytes()).hexdigest() for name in contents}
    monkeypatch.setattr(cifar, "train_list", [[name, sums[name]] for name in ("batch_0", "batch_2")])
    monkeypatch.setattr(cifar, "test_list", [["batch_4", sums["batch_4"]]])
    monkeypatch.setattr(cifar, "meta", {"filename": "meta", "key": "label_names", "md5": sums["meta"]})
    return images.transpose(0, 2, 3, 1)


def test_torchvision_reads_cifar_in_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_cifar(tmp_path, monkeypatch)
    source = Source(kind="torchvision", package="CIFAR10")
    arrays = decode(from_torchvision(source, tmp_path))
    assert np.array_equal(arrays["train_images"], images[:4])
    assert np.array_equal(arrays["test_images"], images[4:])
    assert arrays["train_labels"].tolist() == [0, 1, 2, 3]
    assert arrays["test_labels"].tolist() == [4, 5]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}


def test_torchvision_reads_idx_files_as_we_do(tmp_path: Path) -> None:
    folder = tmp_path / "files" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    write_idx(folder)
    for packed in folder.glob("*.gz"):
        packed.with_suffix("").write_bytes(idx(LABELS))
    check(decode(from_torchvision(Source(kind="torchvision", package="MNIST"), tmp_path)), SHA)


def of_folders(**changes: Any) -> Dataset:
    """The entry of a folder `photos`, with changes."""
    entry = {"sources": [{"kind": "folder", "path": "photos"}], "sha256": {}, "shape": [3, 8, 8]}
    return validate(Dataset, {**entry, "licence": "mine", "judge": tiny.EFFNET, **changes})


NAMES = ("cats/a.png", "cats/b.png", "dogs/a.png")


def test_a_folder_is_copied_into_a_tree_and_its_digest_told(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(workspace / "photos", NAMES)
    fetch("pets", of_folders(), workspace / "raw")
    copied = {name: (workspace / "raw/all" / name).read_bytes() for name in NAMES}
    assert copied == {name: (workspace / "photos" / name).read_bytes() for name in NAMES}
    said = capsys.readouterr().out
    assert "pets: folder photos, 3 images, tree " in said
    digest = said.partition("tree ")[2][:64]
    fetch("pets", of_folders(sha256={"tree": digest}), workspace / "again")
    assert "content verified" in capsys.readouterr().out


@pytest.mark.parametrize("change", [("cats/a.png", b"other"), ("cats/c.png", b"new")])
def test_a_folder_that_is_not_what_its_digest_says_is_refused(workspace: Path, change: tuple[str, bytes]) -> None:
    write_pictures(workspace / "photos", NAMES)
    (workspace / "photos" / change[0]).write_bytes(change[1])
    with pytest.raises(SourceError, match=r"folder photos: tree has SHA-256 [0-9a-f]{64}, expected 0000"):
        fetch("pets", of_folders(sha256={"tree": "0" * 64}), workspace / "raw")
    assert not (workspace / "raw").exists()


def test_an_absent_folder_is_named_in_full(workspace: Path) -> None:
    with pytest.raises(SourceError, match=rf"there is no folder {workspace}/photos"):
        fetch("pets", of_folders(), workspace / "raw")


def test_a_clone_within_a_checkout_finds_the_checkout_s_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = workspace / "build" / "smoke"
    for checkout in (workspace, clone):
        checkout.mkdir(parents=True, exist_ok=True)
        (checkout / "dvc.yaml").touch()
    (workspace / "photos").mkdir()
    monkeypatch.chdir(clone)
    assert locate("photos") == workspace / "photos"
    (clone / "photos").mkdir()
    assert locate("photos") == clone / "photos"
    assert locate(str(workspace / "photos")) == workspace / "photos"


def test_a_user_s_folder_is_read_where_it_lies_and_stays(workspace: Path) -> None:
    write_pictures(workspace / "photos", NAMES)
    with contents(Source(kind="folder", path="photos")) as root:
        assert root == workspace / "photos"
    assert len(list((workspace / "photos").rglob("*.png"))) == 3


def test_parts_are_one_data_set_or_none(workspace: Path) -> None:
    write_pictures(workspace / "one", ["x.png", "y.png"])
    write_pictures(workspace / "two", ["x.png", "z.png"])
    parts = [{"kind": "folder", "path": path, "group": group} for path, group in (("one", "a"), ("two", "b"))]
    source = {"kind": "parts", "parts": parts}
    fetch("both", of_folders(sources=[source], layout="domains"), workspace / "raw")
    found = {path.relative_to(workspace / "raw").as_posix() for path in (workspace / "raw").rglob("*.png")}
    assert found == {"all/a/x.png", "all/a/y.png", "all/b/x.png", "all/b/z.png"}
    (workspace / "two").rename(workspace / "three")
    with pytest.raises(SourceError, match=r"folder one \+ folder two: there is no folder"):
        fetch("both", of_folders(sources=[source], layout="domains"), workspace / "other")
    assert not (workspace / "other").exists()


def test_images_of_a_package_are_those_that_files_names(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_: Source, folder: Path) -> Path:
        write_pictures(folder / "package", ["img/a/1.png", "img/b/1.png", "docs/logo.png"])
        return folder

    monkeypatch.setattr(sources, "DOWNLOADS", {"npm": download})
    source = {"kind": "npm", "package": "x", "version": "1", "files": "package/img/{group}/*.png"}
    with pytest.raises(SourceError) as error:
        fetch("x", of_folders(sources=[source], sha256={"tree": "0" * 64}), workspace / "raw")
    digest = str(error.value).partition("has SHA-256 ")[2][:64]
    fetch("x", of_folders(sources=[source], sha256={"tree": digest}), workspace / "raw")
    assert sorted(path.name for path in (workspace / "raw/all").iterdir()) == ["a", "b"]
