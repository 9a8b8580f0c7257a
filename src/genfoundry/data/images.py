"""One image file → bytes of the shape that is asked for. Pillow decodes, turns, converts and resizes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Those that Pillow decodes by itself: EPS and WMF would start other programs.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD", "QOI"),
    *("SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
MAX_PIXELS = 2**27  # of one image: 134 million, more than cameras take and less than a bomb
RESIZE = "centre crop to the aspect, then Lanczos with antialiasing (Pillow)"  # what `fitted` does, for the record
WHITE = (255, 255, 255, 255)  # behind what is transparent


class Unreadable(ValueError):
    """A file that gives no image; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A decoded image: `pixels` (C, H, W) uint8, and what it was before it was resized."""

    pixels: np.ndarray
    key: bytes  # equal for images with equal pixels, whatever file they lie in
    enlarged: bool  # it was smaller than it is now


def read_image(path: Path, shape: tuple[int, int, int], fit: str) -> Picture:
    """Decode the first frame of a file; `fit` is `exact` or `resize`.

    Raises:
        Unreadable: damaged, too large, of no known format or range, or of another size where that must not be.
    """
    image = decoded(path, shape[0])
    if fit == "exact" and image.size != shape[:0:-1]:
        raise Unreadable(f"is {image.width}×{image.height}, not {shape[2]}×{shape[1]}")
    key = hashlib.blake2b(f"{image.mode}{image.size}".encode() + image.tobytes(), digest_size=16).digest()
    return Picture(fitted(image, shape), key, image.width < shape[2] or image.height < shape[1])


def decoded(path: Path, channels: int) -> Image.Image:
    """The first frame of a file, upright, L or RGB.

    Raises:
        Unreadable: damaged, too large, of no known format or range.
    """
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.width * file.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            return with_channels(ImageOps.exif_transpose(file), channels)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        raise Unreadable(f"more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise Unreadable("not an image in a known format" if path.stat().st_size else "empty") from None
    except Exception as error:  # the boundary: a damaged file can raise anything in a decoder
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Any mode → L or RGB, what is transparent on white, 16 bits rounded to 8.

    Raises:
        Unreadable: values whose range nobody knows.
    """
    if image.mode.startswith("I"):
        image = Image.fromarray(from_16_bits(np.asarray(image)))
    if image.mode == "F":
        raise Unreadable("floating-point values of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("L" if channels == 1 else "RGB")


def from_16_bits(values: np.ndarray) -> np.ndarray:
    """0 … 65535 → uint8, rounded to nearest.

    Raises:
        Unreadable: values beyond that range.
    """
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("values of more than 16 bits")
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)


def fitted(image: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """L or RGB → (C, H, W) uint8: the largest centred part of the right aspect, antialiased."""
    _, height, width = shape
    pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
