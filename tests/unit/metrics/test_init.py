from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit import tiny

MODULES = ["mse", "psnr", "ssim"]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.xfail(strict=True, reason="torchmetrics is imported before the shim: ruff's I001 sorts it there")
def test_a_metric_imports_in_a_fresh_process(tmp_path: Path, module: str) -> None:
    tiny.python("-c", f"import genfoundry.metrics.{module}", cwd=tmp_path)
