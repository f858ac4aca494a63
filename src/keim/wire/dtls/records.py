"""Records: how datagrams are cut, and what protection covers (RFC 6347 §4.1, RFC 9146 §5). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
WITH_CID: Final = 25

VERSION: Final = b"\xfe\xfd"
VERSION_1_0: Final = b"\xfe\xff"
"""The first hello and its answer may still carry it."""
HEADER_OCTETS: Final = 13
EXPLICIT_OCTETS: Final = 8
LARGEST_FRAGMENT: Final = 1 << 14
CID_AAD: Final = b"\xff" * 8 + b"\x19"
WINDOW: Final = 64
LAST_SEQUENCE: Final = (1 << 48) - 1


class Record(msgspec.Struct, frozen=True, gc=False):
    type: int
    epoch: int
    sequence: int
    cid: bytes
    fragment: bytes


def split(datagram: bytes, cid_octets: int) -> Iterator[Record]:
    """The records of a datagram up to the first that is none; the rest is dropped in silence (§4.1.2.7)."""
    position, end = 0, len(datagram)
    while end - position >= HEADER_OCTETS:
        kind = datagram[position]
        cid_end = position + 11 + (cid_octets if kind == WITH_CID else 0)
        start = cid_end + 2
        if start > end or datagram[position + 1] != 0xFE or datagram[position + 2] not in (0xFD, 0xFF):
            return
        stop = start + (datagram[cid_end] << 8 | datagram[cid_end + 1])
        if stop > end or not CHANGE_CIPHER_SPEC <= kind <= WITH_CID:
            return
        epoch = datagram[position + 3] << 8 | datagram[position + 4]
        sequence = int.from_bytes(datagram[position + 5 : position + 11], "big")
        yield Record(kind, epoch, sequence, datagram[position + 11 : cid_end], datagram[start:stop])
        position = stop


def clear_record(kind: int, sequence: int, fragment: bytes) -> bytes:
    """A record of epoch 0."""
    head = bytes((kind, 0xFE, 0xFD)) + sequence.to_bytes(8, "big")
    return head + len(fragment).to_bytes(2, "big") + fragment


def additional_data(kind: int, explicit: bytes, cid: bytes, octets: int) -> bytes:
    """What the AEAD covers besides the content of `octets`, which with a cid includes the real type."""
    if cid:
        return CID_AAD + bytes((len(cid), 0x19, 0xFE, 0xFD)) + explicit + cid + octets.to_bytes(2, "big")
    return explicit + bytes((kind, 0xFE, 0xFD)) + octets.to_bytes(2, "big")
