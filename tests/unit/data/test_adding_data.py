"""What docs/adding-data.md shows, done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from genfoundry.data.batches import Batches, Prepared
from genfoundry.data.prepare import prepare
from genfoundry.data.sources import fetch
from genfoundry.params import Dataset, Source, validate
from tests.unit.data.made import write_pictures

TEXT = (Path(__file__).parents[3] / "docs/adding-data.md").read_text()
BLOCKS = [YAML(typ="safe", pure=True).load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
RECIPES: dict[str, dict[str, Any]] = {**BLOCKS[0]["datasets"], **BLOCKS[1], **BLOCKS[2]}

FOLDERS = {
    "pets": [f"photos/{path}" for n in range(30) for path in (f"cat/{n}.jpg", f"dog/{n}.png")],
    "art": [f"pictures/{path}" for n in range(30) for path in (f"photos/{n}.jpg", f"paintings/{n}.jpg")],
    "maps": [f"tiles/{path}" for n in range(30) for path in (f"aerial/{n}.jpg", f"drawn/{n}.png")],
}
KEYS = {"pets": {"image", "label"}, "art": {"a", "b"}, "maps": {"source", "target"}}


@pytest.mark.parametrize("name", FOLDERS)
def test_each_recipe_gives_batches(workspace: Path, name: str) -> None:
    write_pictures(workspace, FOLDERS[name])
    dataset = validate(Dataset, RECIPES[name])
    fetch(name, dataset, workspace / "raw")
    prepare(name, dataset, workspace / "raw", workspace / "prepared")
    data = Prepared(workspace / "prepared")
    batch = Batches(data.split("train"), 4, 0).at(3)
    assert set(batch) == KEYS[name]
    assert all(array.shape == (4, 3, 64, 64) for key, array in batch.items() if key != "label")
    rows = [len(array) for split in ("train", "test") for array in data.split(split).arrays.values()]
    assert sum(rows) == (120 if name == "pets" else len(FOLDERS[name]))  # labels are counted too
    assert data.about["quarantined"] == {}


def test_all_recipes_are_tried() -> None:
    assert set(RECIPES) == set(FOLDERS)


@pytest.mark.parametrize("source", BLOCKS[3], ids=lambda source: source["kind"])
def test_each_other_source_is_one(source: dict[str, Any]) -> None:
    assert validate(Source, source).gives_images
