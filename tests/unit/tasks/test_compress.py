from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfoundry.tasks import Setting
from genfoundry.tasks.compress import (
    BITS,
    JPEG_FILE,
    JPEG_SCAN,
    MODEL,
    PCA,
    QUALITIES,
    SCORED,
    TASK,
    Quantiser,
    jpeg,
    opened,
    scan_bytes,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("bits", "error"), [(1, 0.3634), (2, 0.1188), (3, 0.03744), (4, 0.01154)])
def test_normal_numbers_are_rounded_as_well_as_equal_cells_can(bits: int, error: float) -> None:
    """The least squared errors of Max 1960, table II, whatever the scale."""
    scale, shift = np.array([1.0, 1e-3, 50.0]), np.array([0.0, 7.0, -9.0])
    codes = RNG.standard_normal((100_000, 3)) * scale + shift
    found = (Quantiser(codes, bits)(codes) - codes) / scale
    np.testing.assert_allclose(np.square(found).mean(axis=0), error, rtol=0.06)


@pytest.mark.parametrize("bits", BITS)
def test_a_number_takes_no_more_values_than_its_bits_allow(bits: int) -> None:
    quantiser = Quantiser(RNG.standard_normal((500, 2)), bits)
    found = quantiser(100.0 * RNG.standard_normal((5000, 2)))
    assert all(len(np.unique(column)) <= 2**bits for column in found.T)


def test_a_number_that_never_changes_stays_what_it_is() -> None:
    codes = np.full((50, 1), 3.0)
    np.testing.assert_allclose(Quantiser(codes, 4)(codes), codes, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 60])
def test_the_scan_is_what_a_file_without_tables_keeps(channels: int, quality: int) -> None:
    """Pillow writes the abbreviated format too; behind its header of a scan lie the same bytes."""
    image = RNG.integers(0, 256, (channels, 28, 28)).astype(np.uint8)
    file, stream = jpeg(image, quality), io.BytesIO()
    pixels = Image.fromarray(image.transpose(1, 2, 0).squeeze(-1) if channels == 1 else image.transpose(1, 2, 0))
    pixels.save(stream, "JPEG", quality=quality, streamtype=2)
    found, short = scan_bytes(file), stream.getvalue()
    assert 0 < found < len(short) < len(file)
    assert file[-found - 2 :] == short[-found - 2 :]
    assert scan_bytes(short) == found
    assert opened(file).shape == image.shape


def test_every_rate_is_measured_and_one_is_scored(shipped: Path, setting_of: Callable[[Path], Setting]) -> None:
    setting = setting_of(shipped)
    assert TASK.applies(setting)
    found = TASK.find(setting)
    width, rows = setting.latent_width, found.tables["compress"].rows
    bits = {method: [float(b) for name, b, _ in rows if name == method] for method, _, _ in rows}
    assert list(bits) == [MODEL, PCA, JPEG_FILE, JPEG_SCAN]
    assert bits[MODEL] == bits[PCA] == [width * b for b in BITS]
    assert len(bits[JPEG_SCAN]) == len(QUALITIES)
    assert all(scan < file for scan, file in zip(bits[JPEG_SCAN], bits[JPEG_FILE], strict=True))
    assert found.protocol["conditions"] == f"{SCORED * width} bits an image"
    assert found.roles["value"].output.shape == found.roles["baseline"].target.shape == (20, 1, 8, 8)
