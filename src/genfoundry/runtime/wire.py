"""Protocol buffers' wire format, read and nothing more: the runtime brings no onnx."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}
LONGEST = 10  # bytes of a varint

Value = int | memoryview


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order: a varint is an int, all else its bytes.

    Raises:
        WireError: the message is damaged.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if kind not in (BYTES, *FIXED):
            raise WireError(f"wire type {kind}")
        size, at = (FIXED[kind], at) if kind in FIXED else varint(message, at)
        if size > len(message) - at:
            raise WireError(f"field {number} ends beyond its message")
        yield number, message[at : at + size]
        at += size


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The unsigned number at `at`, and where it ends."""
    value = 0
    for place, byte in enumerate(message[at : at + LONGEST]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise WireError("a number without end")


def signed(value: int) -> int:
    """An int64, of which negative ones are written as their complement to 2⁶⁴."""
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """A string.

    Raises:
        WireError: it is none, or not UTF-8.
    """
    try:
        return str(message_of(value), "utf-8")
    except UnicodeDecodeError:
        raise WireError("a text that is not UTF-8") from None


def message_of(value: Value) -> memoryview:
    """A field that holds bytes.

    Raises:
        WireError: it holds a number.
    """
    if isinstance(value, int):
        raise WireError("a number in place of bytes")
    return value


def number_of(value: Value) -> int:
    """A field that holds a number.

    Raises:
        WireError: it holds bytes.
    """
    if not isinstance(value, int):
        raise WireError("bytes in place of a number")
    return value


def numbers(value: Value) -> Iterator[int]:
    """A repeated int64, packed or one at a time."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        yield signed(number)
