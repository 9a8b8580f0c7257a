"""Images in few bits: each number of the latent rounded to one of 2^b levels, beside PCA's numbers and JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from genfoundry.metrics import Paired, psnr
from genfoundry.pictures import beside, from_bytes, to_bytes
from genfoundry.tasks import Finding, Picture, Setting, Table, Task, charts, learns_all

BITS = (1, 2, 3, 4, 5, 6, 8)  # of each number
SCORED = 4  # of them, where model and PCA are compared
FITTED = 10000  # training images whose codes a quantiser is fitted to
TAILS = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 5e-2)  # share of the codes beyond the outer cells, on each side
QUALITIES = (1, 5, 10, 20, 40, 60, 80)  # Pillow's
FOURS = 4  # in a row of the picture
MODEL, PCA, JPEG_FILE, JPEG_SCAN = "the model", "PCA of equal width", "JPEG file", "JPEG scan"
RATES = "Bits against PSNR. A JPEG file holds its tables, which many images could share; its scan does without."

Coder = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]  # images → codes → images


class Quantiser:
    """Each number to the middle of one of 2^bits equal cells, its own, whose range gives the least squared error.

    Args:
        codes: (N, D), to fit the D ranges to.
        bits: of each number.
    """

    def __init__(self, codes: np.ndarray, bits: int) -> None:
        self._cells = 2**bits
        ranges = [np.quantile(codes, (tail, 1.0 - tail), axis=0) for tail in TAILS]
        errors = [np.square(self._rounded(codes, *ends) - codes).mean(axis=0) for ends in ranges]
        best = np.argmin(errors, axis=0)
        self._low, self._high = np.stack(ranges)[best, :, np.arange(len(best))].T

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """(N, D) → (N, D) with at most 2^bits values in each column."""
        return self._rounded(codes, self._low, self._high)

    def _rounded(self, codes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        step = np.maximum((high - low) / self._cells, 1e-12)
        cell = np.clip(np.floor((codes - low) / step), 0, self._cells - 1)
        return (low + (cell + 0.5) * step).astype(np.float32)


@dataclass(frozen=True)
class Coded:
    """Images after a round trip, and what they took."""

    method: str
    bits: float  # of an image, mean
    images: np.ndarray  # (N, C, H, W) float32 in [0, 1]


def find(setting: Setting) -> Finding:
    """The model and PCA of equal width at `SCORED` bits a number; all rates, and JPEG's, in table and chart."""
    train = from_bytes(setting.learnt.images[:FITTED])
    target = from_bytes(setting.prepared.split("test").images[: setting.config.restored])
    graphs, pca = setting.artifact.graphs, setting.pca(setting.latent_width)
    coders: dict[str, Coder] = {
        MODEL: (lambda x: graphs["encode"](image=x), lambda z: graphs["decode"](latent=z)),
        PCA: (pca.encode, pca.decode),
    }
    found = [coded for name, coder in coders.items() for coded in quantised(name, coder, train, target)]
    found += jpegs(to_bytes(target))
    rates = [(c.method, c.bits, psnr.psnr(Paired(target, c.images), setting.config).value) for c in found]
    scored = SCORED * setting.latent_width
    roles = {"value": nearest(found, MODEL, scored), "baseline": nearest(found, PCA, scored)}
    return Finding(
        {role: Paired(target, coded.images) for role, coded in roles.items()},
        f"PCA with {pca.components} components, quantised alike",
        {"n": len(target), "conditions": f"{scored} bits an image"},
        {
            "compress": strip(target, found, scored, setting.config.pictures),
            "compress_rates": charts.lines(by_method(rates), "bits an image", "PSNR in dB", RATES),
        },
        {"compress": Table(("method", "bits", "psnr"), [[m, f"{b:.1f}", f"{s:.3f}"] for m, b, s in rates])},
    )


def strip(target: np.ndarray, found: list[Coded], bits: int, count: int) -> Picture:
    """Each image, and what comes nearest to so many bits by the model, by PCA and by JPEG."""
    near = [nearest(found, method, bits) for method in (MODEL, PCA, JPEG_SCAN)]
    told = ", ".join(f"{coded.method} in {coded.bits:.0f} bits" for coded in near)
    images = beside(*(array[: count // 4] for array in (target, *(coded.images for coded in near))))
    return Picture(images, f"Held-out image, {told}; in fours", columns=4 * FOURS)


def nearest(found: list[Coded], method: str, bits: int) -> Coded:
    """Of one method, what takes about so many bits."""
    return min((coded for coded in found if coded.method == method), key=lambda coded: abs(coded.bits - bits))


def by_method(rates: list[tuple[str, float, float]]) -> Mapping[str, charts.Points]:
    """The curve of each method, in the order in which they came."""
    methods = dict.fromkeys(method for method, _, _ in rates)
    return {method: [(bits, score) for name, bits, score in rates if name == method] for method in methods}


def quantised(method: str, coder: Coder, train: np.ndarray, target: np.ndarray) -> list[Coded]:
    """`target` through codes of each number of `BITS`, the quantisers fitted to the codes of `train`."""
    encode, decode = coder
    fitted, codes = encode(train), encode(target)
    return [Coded(method, bits * codes.shape[1], decode(Quantiser(fitted, bits)(codes))) for bits in BITS]


def jpegs(target: np.ndarray) -> list[Coded]:
    """(N, C, H, W) uint8 as JPEG files of each of `QUALITIES`: all their bytes, and those of the scan alone."""
    found = []
    for quality in QUALITIES:
        files = [jpeg(image, quality) for image in target]
        images = from_bytes(np.stack([opened(file) for file in files]))
        found += [
            Coded(JPEG_FILE, 8.0 * float(np.mean([len(file) for file in files])), images),
            Coded(JPEG_SCAN, 8.0 * float(np.mean([scan_bytes(file) for file in files])), images),
        ]
    return found


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """The file of an image (1 or 3, H, W) uint8."""
    stream = io.BytesIO()
    pixels = image.transpose(1, 2, 0)
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def opened(file: bytes) -> np.ndarray:
    """(1 or 3, H, W) uint8."""
    pixels = np.asarray(Image.open(io.BytesIO(file)))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def scan_bytes(file: bytes) -> int:
    """Bytes of the coefficients of a baseline JPEG: behind its scan's header, before the end marker.

    What is left of a file in the abbreviated format, whose tables were sent before (ITU-T T.81, B.4).
    """

    def end_of(segment: int) -> int:
        return segment + 2 + int.from_bytes(file[segment + 2 : segment + 4])

    segment = 2
    while file[segment + 1] != 0xDA:  # start of scan
        segment = end_of(segment)
    return len(file) - 2 - end_of(segment)


TASK = Task(
    "compress", ("decode", "encode", "reconstruct"), (psnr.METRIC,), find, prefix="compress_", wanted=learns_all
)
