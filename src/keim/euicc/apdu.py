"""Command APDUs as values: class byte, logical channel, data field, Le (ETSI TS 102 221 clause 10)."""

from __future__ import annotations

from typing import NamedTuple

from keim.euicc import status
from keim.euicc.status import StatusError


class Apdu(NamedTuple):
    """A short command APDU. `le` is None when absent, 256 for Le = 00."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None
    has_data: bool

    @property
    def is_proprietary(self) -> bool:
        return bool(self.cla & 0x80)

    @property
    def channel(self) -> int:
        """Channels 0-3 stand in bits 1-2; with bit 7 set bits 1-4 count from 4."""
        return (self.cla & 0x0F) + 4 if self.cla & 0x40 else self.cla & 0x03


class Answer(NamedTuple):
    data: bytes = b""
    status: int = status.OK


def parse(octets: bytes) -> Apdu:
    """The four cases of short APDUs; extended lengths are refused with 6700."""
    if len(octets) < 4:
        raise StatusError(status.WRONG_LENGTH)
    cla, ins, p1, p2 = octets[:4]
    _check_class(cla)
    if len(octets) == 4:
        return Apdu(cla, ins, p1, p2, b"", None, False)
    p3 = octets[4]
    if len(octets) == 5:
        return Apdu(cla, ins, p1, p2, b"", p3 or 256, False)
    if p3 == 0 and len(octets) == 6:
        return Apdu(cla, ins, p1, p2, b"", octets[5] or 256, True)  # Lc = 0 written out, then Le
    end = 5 + p3
    if p3 == 0 or len(octets) not in {end, end + 1}:
        raise StatusError(status.WRONG_LENGTH)
    le = (octets[end] or 256) if len(octets) > end else None
    return Apdu(cla, ins, p1, p2, octets[5:end], le, True)


def _check_class(cla: int) -> None:
    """0x, 4x, 8x, Cx without secure messaging and without command chaining (bit 5)."""
    first = cla >> 4
    if first in {0x0, 0x8}:
        if cla & 0x0C:
            raise StatusError(status.SECURE_MESSAGING_NOT_SUPPORTED)
        return
    if first in {0x4, 0xC}:
        return
    if first in {0x6, 0xE}:
        raise StatusError(status.SECURE_MESSAGING_NOT_SUPPORTED)
    raise StatusError(status.UNKNOWN_CLASS)
