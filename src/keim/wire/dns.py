"""One question of the DNS and its answer: the IPv4 address of a name (RFC 1035), as datagrams.

For clients that have UDP and nothing else, as the IPA in a card. Pure; imports keim.errors only.
"""

from __future__ import annotations

import struct

from keim.errors import Malformed, Unencodable

PORT = 53
A, IN = 1, 1
POINTER = 0xC0
MOST_JUMPS = 16


def question(name: str, number: int) -> bytes:
    labels = name.rstrip(".").encode("idna").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        raise Unencodable(f"{name!r} is no host name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + encoded + struct.pack(">HH", A, IN)


def answer(asked: bytes, address: bytes | None) -> bytes:
    """A server's answer to one question; None says that there is no such name."""
    number = asked[:2]
    flags = 0x8180 if address is not None else 0x8183
    head = number + struct.pack(">HHHHH", flags, 1, 1 if address is not None else 0, 0, 0)
    if address is None:
        return head + asked[12:]
    return head + asked[12:] + struct.pack(">HHHIH", 0xC00C, A, IN, 60, 4) + address


def name_asked(asked: bytes) -> str:
    labels, position = [], 12
    while asked[position]:
        length = asked[position]
        labels.append(asked[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    return ".".join(labels)


def address_in(datagram: bytes, number: int) -> bytes | None:
    """The first address of an answer to our question; None when the name has none."""
    try:
        own, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", datagram)
        if own != number or not flags & 0x8000:
            raise Malformed("not the answer to our question", offset=0, party="DNS")
        position = 12
        for _ in range(questions):
            position = _after_name(datagram, position) + 4
        for _ in range(answers):
            position = _after_name(datagram, position)
            kind, _, _, length = struct.unpack_from(">HHIH", datagram, position)
            position += 10
            if kind == A and length == 4 and position + 4 <= len(datagram):
                return datagram[position : position + 4]
            position += length
    except (struct.error, IndexError):
        raise Malformed("the answer is cut off", offset=len(datagram), party="DNS") from None
    return None


def _after_name(datagram: bytes, position: int) -> int:
    for _ in range(128):
        length = datagram[position]
        if length & POINTER == POINTER:
            return position + 2
        position += 1 + length
        if not length:
            return position
    raise Malformed("a name does not end", offset=position, party="DNS")
