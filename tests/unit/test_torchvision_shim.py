from __future__ import annotations

from pathlib import Path

from tests.unit import tiny

CODE = """
import genfoundry.torchvision_shim
from torchvision import datasets, models
from torchvision.transforms import v2
from torchmetrics.functional.image import structural_similarity_index_measure
import importlib; importlib.reload(v2)
print(datasets.MNIST.__name__)
"""


def test_torchvision_and_torchmetrics_import_after_the_shim(tmp_path: Path) -> None:
    assert tiny.python("-c", CODE, cwd=tmp_path).stdout.strip() == "MNIST"
