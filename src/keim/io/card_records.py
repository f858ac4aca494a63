"""The records of a card file, as octets: `KEIM | kind (1) | length (4) | CRC-32 (4) | payload`."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from keim.euicc.persist import Cell

MAGIC = b"KEIM"
SNAPSHOT, WRITE, SEAL = b"C", b"W", b"S"
HEAD = struct.Struct(">4scII")
LARGEST_RECORD = 1 << 26


class Seal(msgspec.Struct, frozen=True, array_like=True):
    transaction: str
    writes: int
    digest: bytes
    start: int
    """Where its transaction begins in the file."""


class Record(NamedTuple):
    kind: bytes
    payload: bytes
    end: int


def record_of(kind: bytes, payload: bytes) -> bytes:
    return HEAD.pack(MAGIC, kind, len(payload), zlib.crc32(kind + payload)) + payload


def _record_at(data: bytes, position: int) -> Record | None:
    if len(data) - position < HEAD.size:
        return None
    magic, kind, length, checksum = HEAD.unpack_from(data, position)
    start = position + HEAD.size
    if magic != MAGIC or length > LARGEST_RECORD or start + length > len(data):
        return None
    payload = data[start : start + length]
    if zlib.crc32(kind + payload) != checksum:
        return None
    return Record(kind, payload, start + length)


def records_in(data: bytes, position: int = 0) -> Iterator[Record]:
    """Good records in a row; stops at the first that is not."""
    while (record := _record_at(data, position)) is not None:
        yield record
        position = record.end


def seals_in(data: bytes, position: int) -> Iterator[Seal]:
    """Good seals anywhere at or after `position`."""
    while (position := data.find(MAGIC + SEAL, position)) >= 0:
        record = _record_at(data, position)
        seal = seal_of(record) if record is not None else None
        if seal is not None:
            yield seal
        position += 1


def seal_of(record: Record) -> Seal | None:
    try:
        return msgspec.msgpack.decode(record.payload, type=Seal)
    except msgspec.DecodeError:
        return None


def digest_of(cells: Sequence[Cell]) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(cells)).digest()[:16]
