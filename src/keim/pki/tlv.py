"""The few DER steps that reading a certificate takes, fast enough to stand beside two signature checks.

X.509 uses one-octet tags and definite lengths only, so one flat loop reads a whole level at once; `keim.der`
remains the codec of messages. Pure. Imports keim.errors only.
"""

from __future__ import annotations

from keim.errors import Malformed

Element = tuple[int, int, int, int]
"""(tag, where it starts, where its contents start, where it ends)."""


def children(data: bytes, position: int, end: int) -> list[Element]:
    """All TLVs from `position` to `end`, which they must fill exactly; strict DER, linear."""
    found: list[Element] = []
    append = found.append
    while position < end:
        start = position + 2
        if start > end:
            raise Malformed("truncated inside a tag or length", offset=position)
        tag = data[position]
        length = data[position + 1]
        if length > 127:
            start, length = _long_length(data, start, end, length & 0x7F)
        stop = start + length
        if stop > end:
            raise Malformed(f"length {length} reaches beyond the end", offset=position)
        if tag & 0x1F == 0x1F:
            raise Malformed("a tag of several octets does not occur in certificates", offset=position)
        append((tag, position, start, stop))
        position = stop
    return found


def _long_length(data: bytes, start: int, end: int, count: int) -> tuple[int, int]:
    if not 1 <= count <= 4:
        raise Malformed("indefinite length" if count == 0 else f"length of {count} octets", offset=start - 1)
    if start + count > end:
        raise Malformed("truncated inside a length", offset=start)
    length = int.from_bytes(data[start : start + count], "big")
    if length < 128 or length >> (8 * (count - 1)) == 0:
        raise Malformed("length is not in its shortest form", offset=start - 1)
    return start + count, length


def contents(data: bytes, position: int, end: int, tag: int, name: str) -> tuple[int, int]:
    """Where the contents of the TLV at `position` start and end; it has this tag and ends before `end`."""
    start = position + 2
    if start > end or data[position] != tag:
        raise Malformed(f"{name} is not where it belongs, or not of tag {tag:02X}", offset=position)
    length = data[position + 1]
    if length > 127:
        start, length = _long_length(data, start, end, length & 0x7F)
    stop = start + length
    if stop > end:
        raise Malformed(f"length {length} reaches beyond the end", offset=position)
    return start, stop


def boundaries(data: bytes, position: int, end: int, tags: bytes, name: str) -> list[int]:
    """Where each of the members of these tags starts, and where the last one ends: one walk, one call."""
    found = [position]
    for tag in tags:
        start = position + 2
        if start > end or data[position] != tag:
            raise Malformed(f"{name} has not the members that it must have", offset=position)
        length = data[position + 1]
        if length > 127:
            start, length = _long_length(data, start, end, length & 0x7F)
        position = start + length
        if position > end:
            raise Malformed(f"length {length} reaches beyond the end", offset=start)
        found.append(position)
    return found


def only_child(data: bytes, position: int, end: int, tag: int, name: str) -> Element:
    """The one TLV of this tag that fills the range."""
    found = children(data, position, end)
    if len(found) != 1 or found[0][0] != tag:
        raise Malformed(f"{name} is not one TLV of tag {tag:02X}", offset=position)
    return found[0]


def sequence(data: bytes, name: str) -> list[Element]:
    """The members of the one SEQUENCE that fills `data`."""
    return members(data, 0, len(data), name)


def members(data: bytes, position: int, end: int, name: str) -> list[Element]:
    """The members of the one SEQUENCE that fills the range."""
    if end - position > 1 and data[position] == 0x30 and data[position + 1] == end - position - 2 < 0x80:
        return children(data, position + 2, end)
    _, _, start, end = only_child(data, position, end, 0x30, name)
    return children(data, start, end)


def boolean(data: bytes, element: Element) -> bool:
    _, start, content, end = element
    if end - content != 1 or data[content] not in (0x00, 0xFF):
        raise Malformed("BOOLEAN is neither 00 nor FF", offset=start)
    return data[content] == 0xFF


def small_integer(data: bytes, element: Element) -> int:
    """A non-negative INTEGER that fits 4 octets: a version, a path length."""
    _, start, content, end = element
    if not 1 <= end - content <= 4 or data[content] > 127:
        raise Malformed("INTEGER is negative, empty or absurdly large", offset=start)
    return int.from_bytes(data[content:end], "big")


_TEXT_CODECS = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x16: "ascii",
    0x12: "ascii",
    0x14: "latin-1",
    0x1E: "utf-16-be",
}


def text(data: bytes, element: Element) -> str:
    """A character string of any of the types that names use."""
    tag, start, content, end = element
    codec = _TEXT_CODECS.get(tag)
    if codec is None:
        raise Malformed(f"tag {tag:02X} is no character string of a name", offset=start)
    try:
        return data[content:end].decode(codec)
    except UnicodeDecodeError:
        raise Malformed(f"character string is not {codec}", offset=start) from None
