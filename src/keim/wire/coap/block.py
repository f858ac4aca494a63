"""The Block1 and Block2 options (RFC 7959 §2.2). Pure; imports keim.errors and the codec of messages."""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed
from keim.wire.coap.message import unsigned

LARGEST: Final = 6
"""The exponent of 1024 octets; 7 is for reliable transports."""


class Block(msgspec.Struct, frozen=True, gc=False):
    number: int
    has_more: bool
    exponent: int

    @property
    def size(self) -> int:
        return 16 << self.exponent

    @property
    def offset(self) -> int:
        return self.number << self.exponent + 4

    def encode(self) -> bytes:
        return unsigned(self.number << 4 | self.has_more << 3 | self.exponent)


def decode_block(value: bytes) -> Block:
    if len(value) > 3:
        raise Malformed("a block option has at most three octets", offset=0, code="coap.malformed")
    number = int.from_bytes(value, "big")
    exponent = number & 7
    if exponent > LARGEST:
        raise Malformed("block size 7 is reserved", offset=0, code="coap.malformed")
    return Block(number >> 4, bool(number & 8), exponent)


def block_at(offset: int, exponent: int, total: int) -> Block:
    """The block of `total` octets that begins at `offset`, a multiple of its size."""
    return Block(offset >> exponent + 4, offset + (16 << exponent) < total, exponent)
