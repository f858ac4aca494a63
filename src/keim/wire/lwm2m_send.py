"""The Send operation of LwM2M 1.1 for one opaque resource: SenML in CBOR (RFC 8428, 8949), both ends.

A device tells a value without having been asked. Of CBOR only what SenML needs is read. Pure; imports
keim.errors and this package.
"""

from __future__ import annotations

from typing import Final

from keim.errors import Malformed
from keim.wire.coap.events import Request
from keim.wire.lwm2m import IPA_MESSAGE

FORMAT_SENML_CBOR: Final = 112
DP: Final = "dp"
_BASE_NAME: Final = -2
_NAME: Final = 0
_DATA: Final = 8
_MOST_RECORDS: Final = 16

Value = int | bytes | str | float | bool | None


def write_send(value: bytes, path: tuple[str, ...] = IPA_MESSAGE) -> Request:
    name = "/" + "/".join(path)
    record = _head(5, 2) + _head(0, _NAME) + _head(3, len(name)) + name.encode()
    record += _head(0, _DATA) + _head(2, len(value)) + value
    return Request(path=(DP,), content_format=FORMAT_SENML_CBOR, body=_head(4, 1) + record)


def read_send(body: bytes) -> dict[tuple[str, ...], bytes]:
    """The opaque values by path; values of other kinds are passed over."""
    reader = _Reader(body)
    found: dict[tuple[str, ...], bytes] = {}
    base = ""
    for _ in range(reader.count(4, _MOST_RECORDS)):
        record: dict[Value, Value] = {}
        for _ in range(reader.count(5, _MOST_RECORDS)):
            key = reader.value()
            record[key] = reader.value()
        base = str(record.get(_BASE_NAME, base))
        data = record.get(_DATA)
        if isinstance(data, bytes):
            found[tuple((base + str(record.get(_NAME, ""))).strip("/").split("/"))] = data
    if not reader.is_at_end:
        raise _malformed("something follows the records", reader.position)
    return found


def _head(kind: int, number: int) -> bytes:
    for octets, short in ((0, 23), (1, 0xFF), (2, 0xFFFF), (4, 0xFFFFFFFF)):
        if number <= short:
            first = kind << 5 | (number if not octets else 23 + octets.bit_length())
            return bytes((first,)) + (number.to_bytes(octets, "big") if octets else b"")
    raise _malformed("too long for a message", 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def is_at_end(self) -> bool:
        return self.position == len(self._data)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise _malformed("the body ends too early", self.position)
        taken, self.position = self._data[self.position : end], end
        return taken

    def _read_head(self) -> tuple[int, int, int]:
        """Major type, additional information, argument."""
        first = self._take(1)[0]
        more = first & 31
        if more < 24:
            return first >> 5, more, more
        if more > 27:
            raise _malformed("indefinite lengths are not read", self.position - 1)
        return first >> 5, more, int.from_bytes(self._take(1 << more - 24), "big")

    def count(self, kind: int, most: int) -> int:
        """Of the items of an array (4) or a map (5)."""
        found, _, number = self._read_head()
        if found != kind or number > most:
            raise _malformed("no SenML stands here", self.position)
        return number

    def value(self) -> Value:
        kind, more, number = self._read_head()
        if kind == 0:
            return number
        if kind == 1:
            return -1 - number
        if kind == 2:
            return self._take(number)
        if kind == 3:
            return self._take(number).decode("utf-8", "replace")
        if kind == 7:
            return {20: False, 21: True}.get(more)  # numbers are passed over: no value of ours is one
        raise _malformed("a value of an unknown kind", self.position)


def _malformed(why: str, offset: int) -> Malformed:
    return Malformed(why, offset=offset, code="lwm2m.malformed_senml")
