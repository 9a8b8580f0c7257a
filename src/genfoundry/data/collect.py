"""A raw tree of image files → arrays by split and batch key, and what was found on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from genfoundry.data import DataError
from genfoundry.data.decoding import Decoded, decode, tell
from genfoundry.data.images import RESIZE
from genfoundry.data.splits import LEAK, TEST, TRAIN, Unit, one_of_each, order, sides
from genfoundry.data.trees import Leaf, leaves, read_refused, read_together
from genfoundry.params import Dataset
from genfoundry.spec import IMAGE_KEYS

Arrays = dict[str, dict[str, np.ndarray]]  # split → batch key → array


def from_tree(name: str, dataset: Dataset, raw: Path, scratch: Path) -> tuple[Arrays, dict[str, Any]]:
    """Decode, split and arrange the images of `raw`.

    Raises:
        DataError: the tree has not the groups that params.yaml speaks of, or a split would be empty.
    """
    found = leaves(raw)
    role_of = roles(name, dataset, {file.group for file in found})
    wanted = [file for file in found if file.group in role_of]
    decoded = decode(name, raw, wanted, dataset, scratch)
    quarantined = dict(sorted({**read_refused(raw), **decoded.quarantined}.items()))
    tell(name, quarantined)
    kinship = kin(read_together(raw))
    if dataset.layout == "pairs" or dataset.halves:
        units, alone = pairs(name, decoded, role_of, kinship)
    else:
        units, alone = list(singles(dataset, decoded, role_of, kinship)), []
    side_of = sides(units, dataset.test_share)
    repeated = repeats(units, side_of, decoded.keys) if dataset.duplicates == "drop" else set()
    kept = {
        split: [unit for row, unit in enumerate(units) if side_of[row] == split and row not in repeated]
        for split in (TRAIN, TEST)
    }
    if dataset.halves:
        kept[TRAIN] = one_of_each(kept[TRAIN])
    arrays = {split: arrange(name, dataset, split, chosen, decoded.pixels) for split, chosen in kept.items()}
    return arrays, {
        **({"halves": True} if dataset.halves else {}),
        "left_out_of_training": {"also_in_test": side_of.count(LEAK)},
        "left_out": {"other_groups": len(found) - len(wanted), "duplicates": len(repeated), "unpaired": alone},
        "quarantined": quarantined,
        "enlarged": decoded.enlarged,
        "resize": RESIZE,
    }


def roles(name: str, dataset: Dataset, groups: set[str]) -> dict[str, str]:
    """The class, side or domain that each group of the source belongs to; groups that are not wanted are absent.

    Raises:
        DataError: params.yaml speaks of groups that are not there, or does not say what one is.
    """
    have = f"the source has {', '.join(sorted(groups))}"
    if dataset.groups:
        absent = set(chain(*dataset.groups.values())) - groups
        if absent:
            raise DataError(f"datasets.{name}.groups: there is no {', '.join(sorted(absent))}; {have}")
        return {group: role for role, members in dataset.groups.items() for group in members}
    wanted = dataset.classes if dataset.layout == "classes" else IMAGE_KEYS[dataset.layout]
    if wanted and groups != set(wanted):
        raise DataError(
            f"datasets.{name}.groups: needed are {', '.join(wanted)}, {have}; say here which of these make up which"
        )
    return {group: group for group in groups}


def kin(lists: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """File name → numbers of the lists it stands in."""
    found: dict[str, list[int]] = {}
    for number, names in enumerate(lists):
        for name in names:
            found.setdefault(name, []).append(number)
    return found


def singles(
    dataset: Dataset, decoded: Decoded, role_of: Mapping[str, str], kinship: Mapping[str, list[int]]
) -> Iterator[Unit]:
    """Each image for itself, in the layouts `classes` and `domains`."""
    label_of = {role: label for label, role in enumerate(dataset.classes)}
    for row, file, key in decoded.good():
        role = role_of[file.group]
        ties = (key, *kinship.get(base(file), ()))
        place = role if dataset.layout == "domains" else "image"
        yield Unit(str(file), file.split, ties, {place: row}, label_of.get(role, 0))


def pairs(
    name: str, decoded: Decoded, role_of: Mapping[str, str], kinship: Mapping[str, list[int]]
) -> tuple[list[Unit], list[str]]:
    """Files of one name, whatever their suffix, on the two sides; and the files that have no counterpart.

    Raises:
        DataError: two files of one side have the same name but for the suffix.
    """
    found: dict[str, dict[str, int]] = {}
    for row, file, _ in decoded.good():
        stem = f"{file.split}/{PurePosixPath(file.name).with_suffix('')}"
        rows, side = found.setdefault(stem, {}), role_of[file.group]
        if side in rows:
            raise DataError(f"{name}: {decoded.files[rows[side]]} and {file} would both be the {side} of {stem}")
        rows[side] = row
    alone = [str(decoded.files[row]) for rows in found.values() if len(rows) == 1 for row in rows.values()]
    return [_pair(stem, rows, decoded, kinship) for stem, rows in found.items() if len(rows) == 2], sorted(alone)


def _pair(stem: str, rows: dict[str, int], decoded: Decoded, kinship: Mapping[str, list[int]]) -> Unit:
    files = [decoded.files[row] for row in rows.values()]
    ties = [decoded.keys[row] for row in rows.values()]
    return Unit(stem, files[0].split, (*ties, *chain(*(kinship.get(base(file), ()) for file in files))), rows)


def base(file: Leaf) -> str:
    """A file's name without its folders."""
    return PurePosixPath(file.name).name


def repeats(units: Sequence[Unit], side_of: Sequence[str], keys: Sequence[bytes | None]) -> set[int]:
    """Units with the same images in the same places, and the same label, as an earlier one of their side."""
    seen, repeated = set(), set()
    for number, (unit, side) in enumerate(zip(units, side_of, strict=True)):
        content = (side, unit.label, *sorted((place, keys[row]) for place, row in unit.rows.items()))
        if content in seen:
            repeated.add(number)
        seen.add(content)
    return repeated


def arrange(
    name: str, dataset: Dataset, split: str, units: Sequence[Unit], pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """One array for each batch key, in an order that mixes the groups, up to the limit.

    Raises:
        DataError: one would be empty.
    """
    mixed = sorted(units, key=lambda unit: order(unit.name))
    arrays = {}
    for key in IMAGE_KEYS[dataset.layout]:
        rows = [unit.rows[key] for unit in mixed if key in unit.rows][: dataset.limit]
        if not rows:
            raise DataError(
                f"datasets.{name}.test_share: with {dataset.test_share} no {key} of {len(pixels)} images is in the "
                f"{split} split"
            )
        arrays[key] = pixels[rows]
    if dataset.classes:
        arrays["label"] = np.array([unit.label for unit in mixed][: dataset.limit], dtype=np.int64)
    return arrays
