"""Writing TLVs: headers and contents of the primitive types. Imports keim.errors only."""

from __future__ import annotations

from functools import lru_cache

from keim.der.read import REVERSED
from keim.errors import Unencodable


@lru_cache(maxsize=1024)
def tag_octets(tag: int) -> bytes:
    """Remembered: messages have few tags."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")


def length(n: int) -> bytes:
    if n < 0x80:
        return bytes((n,))
    size = (n.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + n.to_bytes(size, "big")


def header(tag: int, n: int) -> bytes:
    """Tag and length of a TLV whose contents are joined elsewhere."""
    if n < 0x80 and tag < 0x10000:
        return b"%c%c" % (tag, n) if tag < 0x100 else b"%c%c%c" % (tag >> 8, tag & 0xFF, n)
    return tag_octets(tag) + length(n)


def tlv(tag: int, *contents: bytes) -> bytes:
    """One TLV: `tlv(0x5A, eid)`; several contents are joined."""
    joined = contents[0] if len(contents) == 1 else b"".join(contents)
    size = len(joined)
    if size < 0x80 and tag < 0x10000:
        if tag < 0x100:
            return b"%c%c%b" % (tag, size, joined)
        return b"%c%c%c%b" % (tag >> 8, tag & 0xFF, size, joined)
    return long_tlv(tag_octets(tag), joined) if size >= 0x80 else tag_octets(tag) + length(size) + joined


def long_tlv(tag: bytes, content: bytes) -> bytes:
    """For generated encoders: contents of 128 octets and more."""
    n = len(content)
    if n < 0x100:
        return b"%b\x81%c%b" % (tag, n, content)
    if n < 0x10000:
        return b"%b\x82%c%c%b" % (tag, n >> 8, n & 0xFF, content)
    return tag + length(n) + content


SMALL = tuple(n.to_bytes(1, "big") for n in range(128))


def integer(value: int) -> bytes:
    if 0 <= value < 128:
        return SMALL[value]
    return int.to_bytes(
        value, (value.bit_length() if value >= 0 else (value + 1).bit_length()) // 8 + 1, "big", signed=True
    )


def named_bits(value: int) -> bytes:
    if value <= 0:
        if value < 0:
            raise Unencodable("a negative set of bits")
        return b"\x00"
    bits = value.bit_length()
    octets = (bits + 7) // 8
    return bytes((octets * 8 - bits,)) + value.to_bytes(octets, "little").translate(REVERSED)


def bit_string(octets: bytes, unused: int) -> bytes:
    if not 0 <= unused <= 7 or (unused and (not octets or octets[-1] & ((1 << unused) - 1))):
        raise Unencodable(f"{unused} unused bits do not fit the octets")
    return bytes((unused,)) + octets


def oid_content(text: str) -> bytes:
    try:
        arcs = [int(arc) for arc in text.split(".")]
    except ValueError:
        raise Unencodable(f"{text!r} is no OBJECT IDENTIFIER") from None
    if len(arcs) < 2 or min(arcs) < 0 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39):
        raise Unencodable(f"{text!r} is no OBJECT IDENTIFIER")
    out = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return bytes(out)


def complete_tlv(octets: bytes) -> bytes:
    """Checks that an open type's value is exactly one TLV."""
    from keim.der.read import read_tlv
    from keim.errors import Malformed

    try:
        if read_tlv(octets).end == len(octets):
            return octets
    except Malformed as fault:
        raise Unencodable(f"no complete TLV: {fault}") from None
    raise Unencodable("more than one TLV")


def wrong_size(found: int, least: int, most: int) -> Unencodable:
    wanted = str(least) if least == most else f"{least} to {most}"
    return Unencodable(f"size {found}, allowed is {wanted}")
