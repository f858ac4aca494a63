"""Handshake messages in fragments, in any order, more than once (RFC 6347 §4.2.2, §4.2.3). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from keim.wire.dtls.faults import malformed

CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
HELLO_VERIFY_REQUEST: Final = 3
NEW_SESSION_TICKET: Final = 4
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12
CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
CERTIFICATE_VERIFY: Final = 15
CLIENT_KEY_EXCHANGE: Final = 16
FINISHED: Final = 20
HELLO_REQUEST: Final = 0

HEADER_OCTETS: Final = 12
AHEAD: Final = 8
"""Messages beyond the next one of which fragments are kept."""
LARGEST: Final = 32 * 1024


class Fragment(msgspec.Struct, frozen=True, gc=False):
    type: int
    length: int
    message_sequence: int
    offset: int
    data: bytes

    @property
    def is_whole(self) -> bool:
        return len(self.data) == self.length


class HandshakeMessage(msgspec.Struct, frozen=True, gc=False):
    type: int
    sequence: int
    body: bytes

    def encode(self) -> bytes:
        """As it stands in the transcript: one fragment."""
        return self.fragment(0, len(self.body))

    def fragment(self, offset: int, octets: int) -> bytes:
        return b"".join(
            (
                bytes((self.type,)),
                len(self.body).to_bytes(3, "big"),
                self.sequence.to_bytes(2, "big"),
                offset.to_bytes(3, "big"),
                octets.to_bytes(3, "big"),
                self.body[offset : offset + octets],
            )
        )


def read_fragments(data: bytes) -> Iterator[Fragment]:
    position = 0
    while position < len(data):
        start = position + HEADER_OCTETS
        if start > len(data):
            raise malformed("the record ends inside a handshake header", position)
        length = int.from_bytes(data[position + 1 : position + 4], "big")
        offset = int.from_bytes(data[position + 6 : position + 9], "big")
        end = start + int.from_bytes(data[position + 9 : position + 12], "big")
        if end > len(data) or offset + end - start > length or length > LARGEST:
            raise malformed("a handshake fragment of impossible length", position)
        sequence = data[position + 4] << 8 | data[position + 5]
        yield Fragment(data[position], length, sequence, offset, data[start:end])
        position = end


class _Partial:
    __slots__ = ("body", "length", "missing", "type")

    def __init__(self, fragment: Fragment) -> None:
        self.type = fragment.type
        self.length = fragment.length
        self.body = bytearray(fragment.length)
        self.missing = [(0, fragment.length)]
        """Gaps, ascending; empty when whole."""

    def add(self, fragment: Fragment) -> None:
        start, end = fragment.offset, fragment.offset + len(fragment.data)
        self.body[start:end] = fragment.data
        gaps: list[tuple[int, int]] = []
        for low, high in self.missing:
            if low < start:
                gaps.append((low, min(high, start)))
            if high > end:
                gaps.append((max(low, end), high))
        self.missing = [(low, high) for low, high in gaps if low < high]


class Reassembly:
    """Gives out whole messages in the order of their sequence numbers."""

    __slots__ = ("_octets", "_partials", "next_sequence")

    def __init__(self, next_sequence: int) -> None:
        self.next_sequence = next_sequence
        self._partials: dict[int, _Partial] = {}
        self._octets = 0

    def add(self, fragment: Fragment) -> list[HandshakeMessage]:
        ahead = fragment.message_sequence - self.next_sequence
        if not 0 <= ahead <= AHEAD:
            return []
        if ahead == 0 and fragment.is_whole and not self._partials:
            self.next_sequence += 1
            return [HandshakeMessage(fragment.type, fragment.message_sequence, fragment.data)]
        partial = self._partials.get(fragment.message_sequence)
        if partial is None:
            if self._octets + fragment.length > LARGEST:
                return []
            partial = self._partials[fragment.message_sequence] = _Partial(fragment)
            self._octets += fragment.length
        elif (partial.type, partial.length) != (fragment.type, fragment.length):
            return []
        if fragment.length:
            partial.add(fragment)
        else:
            partial.missing = []
        return self._ready()

    def _ready(self) -> list[HandshakeMessage]:
        ready: list[HandshakeMessage] = []
        while (partial := self._partials.get(self.next_sequence)) is not None and not partial.missing:
            del self._partials[self.next_sequence]
            self._octets -= partial.length
            ready.append(HandshakeMessage(partial.type, self.next_sequence, bytes(partial.body)))
            self.next_sequence += 1
        return ready
