from __future__ import annotations

from pathlib import Path

from tests.unit import tiny


def test_a_metric_imports_in_a_fresh_process(tmp_path: Path) -> None:
    tiny.python("-c", "import genfoundry.metrics.mse", cwd=tmp_path)
