from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from genfoundry.data.images import MAX_PIXELS, Unreadable, read_image

RAMP = np.linspace(0, 255, 48).astype(np.uint8)
SMOOTH = np.stack([np.tile(RAMP, (32, 1)), np.tile(RAMP[::-1], (32, 1)), np.full((32, 48), 90, np.uint8)], axis=-1)
COLOUR = Image.fromarray(SMOOTH)
GREY = COLOUR.convert("L")
SHAPES = {1: (1, 32, 48), 3: (3, 32, 48)}


def expected(channels: int) -> np.ndarray:
    return np.asarray(GREY)[None] if channels == 1 else SMOOTH.transpose(2, 0, 1)


def transparent(mode: str) -> Image.Image:
    """The left half is hidden, whatever colour it has beneath."""
    image = (GREY if mode == "LA" else COLOUR).convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 24, 32))
    image.putalpha(alpha)
    return image


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)


WRITERS: dict[str, tuple[Image.Image, str, dict, float]] = {
    "rgb.png": (COLOUR, "PNG", {}, 0),
    "grey.png": (GREY, "PNG", {}, 0),
    "rgb.jpg": (COLOUR, "JPEG", {"quality": 97, "subsampling": 0}, 4),
    "progressive.jpg": (COLOUR, "JPEG", {"quality": 97, "subsampling": 0, "progressive": True}, 4),
    "cmyk.jpg": (COLOUR.convert("CMYK"), "JPEG", {"quality": 97, "subsampling": 0}, 6),
    "cmyk.tiff": (COLOUR.convert("CMYK"), "TIFF", {}, 1),
    "ycbcr.tiff": (COLOUR.convert("YCbCr"), "TIFF", {"compression": "raw"}, 3),
    "opaque.png": (COLOUR.convert("RGBA"), "PNG", {}, 0),
    "palette.png": (COLOUR.quantize(256), "PNG", {}, 8),
    "animated.gif": (COLOUR.quantize(256), "GIF", {"save_all": True, "append_images": [GREY]}, 8),
    "sixteen.png": (sixteen_bits(), "PNG", {}, 0),
    "sixteen.tiff": (sixteen_bits(), "TIFF", {}, 0),
    "lossless.webp": (COLOUR, "WEBP", {"lossless": True}, 0),
    "rgb.bmp": (COLOUR, "BMP", {}, 0),
    "rgb.ppm": (COLOUR, "PPM", {}, 0),
    "rgb.tga": (COLOUR, "TGA", {}, 0),
    "lossless.jp2": (COLOUR, "JPEG2000", {}, 1),
    "wrong-suffix.txt": (COLOUR, "PNG", {}, 0),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", WRITERS)
def test_every_mode_and_format_gives_the_same_picture(tmp_path: Path, name: str, channels: int) -> None:
    image, kind, options, tolerance = WRITERS[name]
    image.save(tmp_path / name, kind, **options)
    found = read_image(tmp_path / name, SHAPES[channels], "exact")
    wanted = expected(channels)
    if image.mode in ("L", "I;16"):
        wanted = np.broadcast_to(np.asarray(GREY), wanted.shape)
    assert found.pixels.dtype == np.uint8
    assert not found.enlarged
    assert np.abs(found.pixels.astype(int) - wanted).max() <= tolerance


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str, channels: int) -> None:
    transparent(mode).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", SHAPES[channels], "exact").pixels
    assert (pixels[..., :24] == 255).all()
    shown = expected(channels) if mode == "RGBA" else np.broadcast_to(np.asarray(GREY), pixels.shape)
    assert np.array_equal(pixels[..., 24:], shown[..., 24:])


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_a_transparent_palette_entry_is_white_too(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.fromarray(np.repeat([[0, 1, 2, 2]], 4, axis=0).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    image.save(tmp_path / "a.png", transparency=transparency)
    pixels = read_image(tmp_path / "a.png", (3, 4, 4), "exact").pixels
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 0, 3].tolist() == [0, 0, 250]
    half = [200, 0, 0] if transparency == 0 else [227, 127, 127]
    assert np.abs(pixels[:, 0, 1].astype(int) - half).max() <= 1


def test_bilevel_images_are_black_and_white(tmp_path: Path) -> None:
    GREY.convert("1").save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", SHAPES[3], "exact").pixels
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_sideways_makes_no_difference(tmp_path: Path, orientation: int) -> None:
    """An image stored by each of EXIF's eight orientations is the same upright."""
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # Image.Transpose that stores it so
    stored = COLOUR
    for step in undo.get(orientation, []):
        stored = stored.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")), COLOUR)  # the test itself
    assert np.array_equal(read_image(tmp_path / "a.png", SHAPES[3], "exact").pixels, expected(3))


@pytest.mark.parametrize(
    ("size", "box"),
    [((100, 40), (30, 0, 70, 40)), ((40, 100), (0, 30, 40, 70)), ((64, 64), (0, 0, 64, 64))],
)
def test_the_centre_is_cut_to_the_aspect_and_resized_with_antialiasing(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3)).astype(np.uint8))
    noise.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", (3, 16, 16), "resize").pixels
    wanted = noise.resize((16, 16), Image.Resampling.LANCZOS, box=box)
    assert np.array_equal(found, np.asarray(wanted).transpose(2, 0, 1))


def test_a_checkerboard_finer_than_the_pixels_becomes_its_mean(tmp_path: Path) -> None:
    board = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    inside = read_image(tmp_path / "a.png", (1, 16, 16), "resize").pixels[0, 2:-2, 2:-2]
    assert np.abs(inside.astype(int) - 128).max() <= 1


@pytest.mark.parametrize(("size", "enlarged"), [((15, 40), True), ((40, 15), True), ((16, 16), False)])
def test_small_images_are_enlarged_and_marked(tmp_path: Path, size: tuple[int, int], enlarged: bool) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", (3, 16, 16), "resize")
    assert found.enlarged is enlarged
    assert (found.pixels == found.pixels[:, :1, :1]).all()


def test_keys_are_of_the_pixels_before_they_were_resized(tmp_path: Path) -> None:
    COLOUR.save(tmp_path / "a.png")
    COLOUR.convert("RGBA").save(tmp_path / "b.bmp")
    COLOUR.resize((96, 64)).save(tmp_path / "c.png")
    a, b, c = (read_image(tmp_path / name, (3, 16, 16), "resize").key for name in ("a.png", "b.bmp", "c.png"))
    assert a == b != c


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, content: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(content, 9)) + chunk(b"IEND", b"")


def encoded(kind: str, image: Image.Image = COLOUR) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def damaged(kind: str, at: int = 60) -> bytes:
    content = bytearray(encoded(kind))
    content[at] ^= 0xFF
    return bytes(content)


def floats() -> bytes:
    return encoded("TIFF", Image.fromarray(np.ones((32, 48), np.float32)))


def wide_integers() -> bytes:
    return encoded("TIFF", Image.fromarray(np.full((32, 48), 70000, np.int32)))


SIDE = int((2 * MAX_PIXELS) ** 0.5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"", "^empty$"),
        (lambda: b"<html>not found</html>", "^not an image in a known format$"),
        (lambda: np.random.default_rng(0).bytes(4000), "^not an image in a known format$"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "^not an image in a known format$"),
        (lambda: encoded("JPEG")[:-200], "(?i)truncated"),
        (lambda: encoded("JPEG")[:100], "(?i)truncated|not an image"),
        (lambda: encoded("PNG")[:-30], "(?i)truncated|broken"),
        (lambda: encoded("GIF", COLOUR.quantize())[:10], "."),
        (lambda: encoded("WEBP")[:40], "."),
        (lambda: encoded("TIFF")[:200], "."),
        (lambda: damaged("PNG"), "broken|decompress|checksum"),
        (lambda: png_of(60000, 60000, bytes(1000)), rf"^more than {MAX_PIXELS} pixels$"),
        (lambda: png_of(SIDE, SIDE // 2 + 100, bytes(1000)), rf"^more than {MAX_PIXELS} pixels$"),
        (floats, "^floating-point values of unknown range$"),
        (wide_integers, "^values of more than 16 bits$"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_says_why(tmp_path: Path, content: Callable[[], bytes], words: str) -> None:
    (tmp_path / "a").write_bytes(content())
    with pytest.raises(Unreadable, match=words) as error:
        read_image(tmp_path / "a", SHAPES[3], "resize")
    assert str(tmp_path) not in str(error.value)
    assert "0x" not in str(error.value)


def test_another_size_is_an_error_where_it_must_be_exact(tmp_path: Path) -> None:
    COLOUR.save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match=r"^is 48×32, not 32×48$"):
        read_image(tmp_path / "a.png", (3, 48, 32), "exact")
