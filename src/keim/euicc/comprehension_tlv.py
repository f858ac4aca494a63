"""COMPREHENSION-TLVs of the toolkit (TS 101 220 clause 7.1.1): not BER, tags have one octet, or three after
7F.
"""

from __future__ import annotations

from collections.abc import Iterator

from keim.euicc.status import WRONG_DATA, StatusError

COMPREHENSION = 0x80
"""The bit of a tag by which a receiver must understand the object; it is not part of the tag's number."""


def objects(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag without the comprehension bit, value) in order; 6A80 for octets that are none."""
    position = 0
    while position < len(data):
        tag, position = _tag(data, position)
        length, position = _length(data, position)
        if position + length > len(data):
            raise StatusError(WRONG_DATA)
        yield tag, data[position : position + length]
        position += length


def first_of_each(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for tag, value in objects(data):
        found.setdefault(tag, value)
    return found


def whole(data: bytes) -> tuple[int, bytes]:
    """The one BER-TLV (D1, D6, D7 ...) that the data field consists of: tag and value."""
    if len(data) < 2:
        raise StatusError(WRONG_DATA)
    length, start = _length(data, 1)
    if start + length != len(data):
        raise StatusError(WRONG_DATA)
    return data[0], data[start:]


def _tag(data: bytes, position: int) -> tuple[int, int]:
    if data[position] & ~COMPREHENSION != 0x7F:
        return data[position] & ~COMPREHENSION, position + 1
    if position + 3 > len(data):
        raise StatusError(WRONG_DATA)
    return 0x7F0000 | int.from_bytes(data[position + 1 : position + 3], "big") & 0x7FFF, position + 3


def _length(data: bytes, position: int) -> tuple[int, int]:
    if position >= len(data):
        raise StatusError(WRONG_DATA)
    first = data[position]
    if first < 0x80:
        return first, position + 1
    count = first & 0x7F
    if not 1 <= count <= 3 or position + 1 + count > len(data):
        raise StatusError(WRONG_DATA)
    return int.from_bytes(data[position + 1 : position + 1 + count], "big"), position + 1 + count
