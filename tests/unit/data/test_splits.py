from __future__ import annotations

import numpy as np

from genfoundry.data.splits import LEAK, TEST, TRAIN, Unit, order, sides, tied


def units(names: list[str], split: str = "all", ties: dict[str, tuple] | None = None) -> list[Unit]:
    return [Unit(name, split, (ties or {}).get(name, ()), {"image": row}) for row, name in enumerate(names)]


NAMES = [f"all/cat/{n}.png" for n in range(2000)]


def test_the_share_that_is_held_out_is_about_what_was_asked_for() -> None:
    for share in (0.05, 0.1, 0.5):
        found = sides(units(NAMES), share).count(TEST) / len(NAMES)
        assert abs(found - share) < 4 * (share * (1 - share) / len(NAMES)) ** 0.5


def test_a_side_depends_on_the_name_alone() -> None:
    first = dict(zip(NAMES, sides(units(NAMES), 0.2), strict=True))
    fewer = NAMES[::-3]
    assert sides(units(fewer), 0.2) == [first[name] for name in fewer]


def test_sides_are_the_same_on_every_machine() -> None:
    assert sides(units(list("abcdef")), 0.5) == [TRAIN, TEST, TEST, TEST, TEST, TEST]


def test_a_larger_share_only_adds() -> None:
    small, large = sides(units(NAMES), 0.1), sides(units(NAMES), 0.3)
    assert all(b == TEST for a, b in zip(small, large, strict=True) if a == TEST)


def test_chains_of_ties_hold_together() -> None:
    ties = {"a": (1,), "b": (1, b"key"), "c": (b"key",), "d": (2,), "e": ()}
    found = tied(units(list("abcde"), ties=ties))
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 3
    assert tied([]) == []


def test_what_is_tied_shares_a_side() -> None:
    rng = np.random.default_rng(0)
    ties = {name: (int(rng.integers(0, 300)), f"k{rng.integers(0, 4000)}") for name in NAMES}
    given = units(NAMES, ties=ties)
    found = sides(given, 0.5)
    side_of: dict = {}
    for unit, side in zip(given, found, strict=True):
        for tie in unit.ties:
            assert side_of.setdefault(tie, side) == side
    assert set(found) == {TRAIN, TEST}


def test_a_family_s_side_is_that_of_its_first_name() -> None:
    alone = dict(zip(NAMES, sides(units(NAMES), 0.5), strict=True))
    for start in range(0, 60, 3):
        family = NAMES[start : start + 3]
        found = sides(units(family, ties=dict.fromkeys(family, ("same",))), 0.5)
        assert set(found) == {alone[min(family)]}


def test_official_sides_are_kept() -> None:
    given = units(["a", "b"], TRAIN) + units(["c", "d"], TEST)
    assert sides(given, 0.99) == [TRAIN, TRAIN, TEST, TEST]


def test_a_training_image_tied_to_a_held_out_one_is_a_leak() -> None:
    ties = {"a": ("x",), "c": ("x",)}
    given = units(["a", "b"], TRAIN, ties) + units(["c", "d"], TEST, ties)
    assert sides(given, 0.5) == [LEAK, TRAIN, TEST, TEST]


def test_images_without_a_split_follow_what_they_are_tied_to() -> None:
    ties = {"a": ("x",), "b": ("x",), "c": ("y",), "d": ("y",)}
    given = [*units(["a"], TRAIN, ties), *units(["c"], TEST, ties), *units(["b", "d"], "all", ties)]
    for share in (0.01, 0.99):
        assert sides(given, share) == [TRAIN, TEST, TRAIN, TEST]


def test_the_order_mixes_and_ignores_the_side() -> None:
    ranks = np.argsort([order(name) for name in NAMES])
    assert abs(np.corrcoef(ranks, np.arange(len(NAMES)))[0, 1]) < 0.1
    held_out = np.array(sides(units(sorted(NAMES, key=order)), 0.2)) == TEST
    assert abs(held_out[:1000].mean() - held_out[1000:].mean()) < 0.07
