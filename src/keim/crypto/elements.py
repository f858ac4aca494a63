"""The members of one constructed TLV, with their octets as received. Imports floor 0's codec only."""

from __future__ import annotations

import msgspec

from keim.der import read_tlv, tag_text, walk
from keim.errors import Malformed


class Element(msgspec.Struct, frozen=True, gc=False):
    tag: int
    whole: bytes
    """Tag, length and value."""
    value: bytes


def elements_between(octets: bytes, start: int = 0, end: int | None = None) -> tuple[Element, ...]:
    """The TLVs that stand one after the other."""
    return tuple(
        Element(tlv.tag, octets[tlv.start : tlv.end], octets[tlv.content : tlv.end])
        for tlv in walk(octets, start, end)
    )


def members_of(octets: bytes, tag: int, name: str) -> tuple[Element, ...]:
    """The members of `octets`, which must be exactly one TLV of that tag."""
    outer = read_tlv(octets)
    if outer.tag != tag or outer.end != len(octets):
        raise Malformed(f"one TLV {tag_text(tag)} was expected", offset=0, path=name)
    return elements_between(octets, outer.content, outer.end)
