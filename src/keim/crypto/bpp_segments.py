"""Where a bound profile package may be cut: the pieces that an IPA hands to the card.

Pure framing, no keys: an IPA uses it without being able to read a profile. Imports keim.der and keim.errors.
"""

from __future__ import annotations

from collections.abc import Iterator

from keim.der import Tlv, read_tlv, tag_text, walk
from keim.errors import Malformed

PACKAGE_TAG = 0xBF36
GROUPS_SENT_WHOLE = (0xA0, 0xA2)
GROUPS_SENT_APART = (0xA1, 0xA3)


def header_of(octets: bytes, start: int = 0) -> tuple[int, int, int] | None:
    """Tag, start of contents and end of the TLV at `start`; None while its header is incomplete.

    Lengths in more octets than needed are read (up to four), indefinite ones are `Malformed`.
    """
    available = len(octets)
    content = start + 1
    if start >= available:
        return None
    tag = octets[start]
    if tag & 0x1F == 0x1F:
        if content >= available:
            return None
        if octets[content] & 0x80:
            raise Malformed("no tag of a bound profile package has three octets", offset=content)
        tag = tag << 8 | octets[content]
        content += 1
    if content >= available:
        return None
    size = octets[content]
    content += 1
    if size > 0x7F:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise Malformed(f"length octet {size:02X}", offset=content - 1)
        if available < content + count:
            return None
        size = int.from_bytes(octets[content : content + count], "big")
        content += count
    return tag, content, content + size


def load_segments(bpp: bytes) -> Iterator[bytes]:
    """The pieces for LoadBoundProfilePackage, each a chain of STORE DATA; joined they are the package.

    (header of BF36 and all of BF23), (A0 with all its 87), (header of A1), each 88, (A2 with all its 87),
    (header of A3), each 86.
    """
    package = read_tlv(bpp)
    if package.tag != PACKAGE_TAG or package.end != len(bpp):
        raise Malformed("a bound profile package is one TLV BF36", offset=0, path="boundProfilePackage")
    parts = walk(bpp, package.content)
    channel = next(parts, None)
    if channel is None or channel.tag != 0xBF23:
        raise Malformed("BF23 does not come first", offset=package.content, path="boundProfilePackage")
    yield bpp[: channel.end]
    for part in parts:
        yield from _pieces(bpp, part)


def _pieces(bpp: bytes, part: Tlv) -> Iterator[bytes]:
    if part.tag in GROUPS_SENT_WHOLE:
        yield bpp[part.start : part.end]
    elif part.tag in GROUPS_SENT_APART:
        yield bpp[part.start : part.content]
        for segment in walk(bpp, part.content, part.end):
            yield bpp[segment.start : segment.end]
    else:
        raise Malformed(
            f"{tag_text(part.tag)} is no part of it", offset=part.start, path="boundProfilePackage"
        )
