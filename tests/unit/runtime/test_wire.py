from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from genfoundry.runtime.wire import LONGEST, WireError, fields, message_of, number_of, numbers, signed, text, varint


def test_a_message_of_onnx_is_read_as_onnx_wrote_it() -> None:
    tensor = TensorProto(name="w", data_type=1, dims=[3, -1, 2**40], raw_data=b"abc", double_data=[1.5])
    found = list(fields(memoryview(tensor.SerializeToString())))
    dims = [number for key, value in found if key == 1 for number in numbers(value)]
    by_key = dict(found)
    assert dims == [3, -1, 2**40]
    assert number_of(by_key[2]) == 1
    assert text(by_key[8]) == "w"
    assert bytes(message_of(by_key[9])) == b"abc"
    assert len(message_of(by_key[10])) == 8


def test_fixed_width_fields_are_passed_over() -> None:
    attribute = helper.make_attribute("alpha", 0.5)
    assert {key for key, _ in fields(memoryview(attribute.SerializeToString()))} == {1, 2, 20}


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**63, 2**64 - 1])
def test_numbers_of_all_lengths(value: int) -> None:
    content, rest = bytearray(), value
    while rest >= 0x80:
        content.append(rest & 0x7F | 0x80)
        rest >>= 7
    content.append(rest)
    assert varint(memoryview(bytes(content)), 0) == (value, len(content))
    assert signed(value) == (value if value < 2**63 else value - 2**64)


@pytest.mark.parametrize(
    "content",
    [b"\x80", b"\xff" * (LONGEST + 1), b"\x0a\x05abc", b"\x0a", b"\x0b", b"\x09\x00", b"\x0d\x00"],
    ids=lambda content: content.hex()[:12],
)
def test_damage_is_an_error(content: bytes) -> None:
    with pytest.raises(WireError):
        list(fields(memoryview(content)))


def test_a_field_is_what_it_should_be() -> None:
    for wrong in (
        lambda: text(1),
        lambda: message_of(1),
        lambda: number_of(memoryview(b"")),
        lambda: text(memoryview(b"\xff")),
    ):
        with pytest.raises(WireError):
            wrong()
