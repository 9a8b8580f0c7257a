"""Which images a model may learn from and which are held out, so that nothing leaks from one to the other."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

TRAIN, TEST = "train", "test"
LEAK = "leak"  # given as training data, but tied to what the source holds out


@dataclass(frozen=True)
class Unit:
    """What goes to one side as a whole: an image, or the two of a pair."""

    name: str  # unique, and the same wherever the data lie
    split: str  # the source's: train, test or any other word where it has none
    ties: tuple[Hashable, ...]  # units that share one belong together
    rows: dict[str, int]  # batch key → row of the decoded images
    label: int = 0


def sides(units: Sequence[Unit], test_share: float) -> list[str]:
    """`train`, `test` or `leak` for each unit.

    Units tied to each other, however indirectly, share a side. A side the source gives is kept; other units are
    held out where the hash of the first name among those tied is below `test_share`, so that a side depends on
    no other image: a folder that grows moves nothing from one side to the other.
    """
    heads = first_names(units)
    given: dict[str, set[str]] = {}
    for head, unit in zip(heads, units, strict=True):
        given.setdefault(head, set()).add(unit.split)
    side = {head: _side(splits, head, test_share) for head, splits in given.items()}
    return [
        LEAK if unit.split == TRAIN and side[head] == TEST else side[head]
        for head, unit in zip(heads, units, strict=True)
    ]


def one_of_each(units: Sequence[Unit]) -> list[Unit]:
    """Units of two places → units of one, the same for all that are tied: halves that have nothing in common."""
    kept = []
    for head, unit in zip(first_names(units), units, strict=True):
        place = sorted(unit.rows)[order(head)[0] % 2]
        kept.append(replace(unit, rows={place: unit.rows[place]}))
    return kept


def first_names(units: Sequence[Unit]) -> list[str]:
    """For each unit the first name, in the alphabet, among those that it is tied to."""
    families = tied(units)
    first: dict[int, str] = {}
    for family, unit in zip(families, units, strict=True):
        first[family] = min(unit.name, first.get(family, unit.name))
    return [first[family] for family in families]


def tied(units: Sequence[Unit]) -> list[int]:
    """A number for each unit, equal where a chain of shared ties leads from one to the other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Hashable, int] = {}
    edges = [
        (row, len(units) + numbers.setdefault(tie, len(numbers)))
        for row, unit in enumerate(units)
        for tie in unit.ties
    ]
    size = len(units) + len(numbers)
    rows, columns = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(units)].tolist()


def order(name: str) -> bytes:
    """What to sort by for an order that mixes, the same everywhere, and has nothing to do with the sides."""
    return hashlib.sha256(name.encode()).digest()[8:]


def _side(given: set[str], name: str, test_share: float) -> str:
    official = {TRAIN, TEST} & given
    if official:
        return TEST if TEST in official else TRAIN
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64  # uniform in [0, 1)
    return TEST if drawn < test_share else TRAIN
