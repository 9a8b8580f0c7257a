"""A bar with rate and ETA, on a terminal and in a log alike."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Lines:
    """A stream for a bar that nobody watches: each update is a line of its own."""

    def write(self, text: str) -> None:
        """To standard error, with carriage returns as line ends."""
        sys.stderr.write(text.replace("\r", "\n"))

    def flush(self) -> None:
        """Pass on."""
        sys.stderr.flush()


def say(line: str) -> None:
    """A line of its own, above the bar where there is one."""
    if sys.stderr.isatty():
        tqdm.write(line, file=sys.stderr)
    else:
        Lines().write(f"\r{line}")  # a bar's line is ended by what comes next


def progress(items: Iterable[T], title: str, *, total: int, done: int = 0, unit: str = "step") -> tqdm[T]:
    """`items` under a bar with rate and ETA; without a terminal, a line every ten seconds."""
    watched = sys.stderr.isatty()
    return tqdm(
        items,
        desc=title,
        initial=done,
        total=total,
        unit=unit,
        mininterval=0.2 if watched else 10.0,
        file=sys.stderr if watched else Lines(),
        dynamic_ncols=watched,
    )
