"""Reading TLVs: the walker, and the small functions that generated decoders call off the fast path.

Pure, linear in the length of the input. Imports keim.errors only.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keim.errors import Malformed

MAX_DEPTH = 64
"""No object of the standard nests deeper than about 20; profile elements stay below 30."""
NUMBER_LIMIT = 256
"""Octets of a number or a set of named bits. Those of the standard end at 20, and Python makes no text of a
number with more than 4,300 digits: whoever tells of one later must not fail at it."""


class Tlv(msgspec.Struct, frozen=True, gc=False):
    """Where one TLV stands in a string of octets: `start` (tag), `content`, `end`."""

    tag: int
    start: int
    content: int
    end: int

    @property
    def is_constructed(self) -> bool:
        first = self.tag
        while first > 0xFF:
            first >>= 8
        return bool(first & 0x20)


def long_length(b: bytes, s: int) -> tuple[int, int]:
    """The length whose first octet, above 7F, stands just before `s`: (start of contents, length)."""
    count = b[s - 1] & 0x7F
    if count == 0:
        raise Malformed("indefinite length", offset=s - 1)
    if b[s - 1] == 0xFF or count > 4:
        raise Malformed(f"length of {count} octets", offset=s - 1)
    n = int.from_bytes(b[s : s + count], "big")
    if len(b) < s + count:
        raise Malformed("truncated inside a length", offset=s)
    if n < 128 or n >> (8 * (count - 1)) == 0:
        raise Malformed("length is not in its shortest form", offset=s - 1)
    return s + count, n


def any_length(b: bytes, s: int) -> tuple[int, int]:
    """As `long_length`, for receivers that accept lengths in more octets than needed."""
    count = b[s - 1] & 0x7F
    if count == 0:
        raise Malformed("indefinite length", offset=s - 1)
    if count > 8:
        raise Malformed(f"length of {count} octets", offset=s - 1)
    if len(b) < s + count:
        raise Malformed("truncated inside a length", offset=s)
    return s + count, int.from_bytes(b[s : s + count], "big")


def read_tag(b: bytes, p: int) -> tuple[int, int]:
    """The tag at `p` as one number of its octets, and the position after it."""
    start, first = p, b[p]
    p += 1
    if first & 0x1F != 0x1F:
        return first, p
    if b[p] & 0x7F == 0:
        raise Malformed("tag number with a leading zero", offset=start)
    while b[p] & 0x80:
        p += 1
        if p - start > 4:
            raise Malformed("tag number above 28 bits", offset=start)
    p += 1
    if p - start == 2 and b[p - 1] < 0x1F:
        raise Malformed("tag number below 31 in the long form", offset=start)
    return int.from_bytes(b[start:p], "big"), p


def read_tlv(b: bytes, p: int = 0, end: int | None = None, *, any_length_form: bool = False) -> Tlv:
    """The TLV that starts at `p` and must end by `end`."""
    if end is None:
        end = len(b)
    if p >= end:
        raise Malformed("a TLV is missing", offset=p)
    try:
        tag, s = read_tag(b, p)
        n = b[s]
    except IndexError:
        raise Malformed("truncated inside a tag or length", offset=p) from None
    s += 1
    if n > 127:
        s, n = any_length(b, s) if any_length_form else long_length(b, s)
    if s + n > end:
        raise Malformed(f"length {n} reaches beyond the end ({end - s} octets are left)", offset=p)
    return Tlv(tag, p, s, s + n)


def walk(b: bytes, p: int = 0, end: int | None = None) -> Iterator[Tlv]:
    """The TLVs that stand one after the other from `p` to `end`."""
    if end is None:
        end = len(b)
    while p < end:
        element = read_tlv(b, p, end)
        yield element
        p = element.end


def tag_text(tag: int) -> str:
    return f"{tag:02X}" if tag < 0x100 else f"{tag:04X}" if tag < 0x10000 else f"{tag:06X}"


def tag_at(b: bytes, p: int, end: int) -> str:
    """How an error names what stands at `p`."""
    if p >= end or p >= len(b):
        return "the end"
    try:
        return f"tag {tag_text(read_tag(b, p)[0])}"
    except (IndexError, Malformed):
        return f"octet {b[p]:02X}"


def missing(b: bytes, p: int, end: int, name: str, tag: str) -> Malformed:
    if p > end:
        return beyond(end, p, end)
    found = tag_at(b, p, end)
    if found == "the end":
        return Malformed(f"{name} ({tag}) is missing", offset=p)
    return Malformed(f"{name} ({tag}) expected, found {found}", offset=p)


def beyond(p: int, q: int, end: int) -> Malformed:
    return Malformed(f"an element reaches {q - end} octets beyond the end of what holds it", offset=p)


def unknown_elements(b: bytes, p: int, end: int, known: frozenset[int]) -> bytes:
    """What is left at the end of an extensible SEQUENCE: whole TLVs that are none of its own."""
    if p > end:
        raise beyond(end, p, end)
    for element in walk(b, p, end):
        if element.tag in known:
            raise Malformed(
                f"tag {tag_text(element.tag)} is out of order or stands twice", offset=element.start
            )
    return b[p:end]


def integer(b: bytes, s: int, q: int) -> int:
    if s == q:
        raise Malformed("INTEGER without contents", offset=s)
    if q - s > 1 and ((b[s] == 0 and b[s + 1] < 0x80) or (b[s] == 0xFF and b[s + 1] > 0x7F)):
        raise Malformed("INTEGER is not in its shortest form", offset=s)
    if q - s > NUMBER_LIMIT:
        raise _too_long("INTEGER", s)
    return int.from_bytes(b[s:q], "big", signed=True)


def padded_integer(b: bytes, s: int, q: int) -> int:
    if s == q:
        raise Malformed("INTEGER without contents", offset=s)
    if q - s > NUMBER_LIMIT:
        raise _too_long("INTEGER", s)
    return int.from_bytes(b[s:q], "big", signed=True)


def _too_long(what: str, s: int) -> Malformed:
    return Malformed(f"{what} of more than {NUMBER_LIMIT} octets", offset=s)


def boolean(b: bytes, s: int, q: int) -> bool:
    if q - s != 1:
        raise Malformed("BOOLEAN of other than one octet", offset=s)
    if b[s] not in (0x00, 0xFF):
        raise Malformed(f"BOOLEAN {b[s]:02X} is neither 00 nor FF", offset=s)
    return b[s] == 0xFF


def any_boolean(b: bytes, s: int, q: int) -> bool:
    if q - s != 1:
        raise Malformed("BOOLEAN of other than one octet", offset=s)
    return b[s] != 0


REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
"""Turns each octet's bits around, so that bit 0 of the standard becomes the lowest."""


def bit_octets(b: bytes, s: int, q: int) -> tuple[bytes, int]:
    """Contents of a BIT STRING as (octets, unused bits)."""
    if s == q:
        raise Malformed("BIT STRING without its first octet", offset=s)
    unused = b[s]
    if unused > 7 or (unused and q - s == 1):
        raise Malformed(f"BIT STRING with {unused} unused bits in {q - s - 1} octets", offset=s)
    if unused and b[q - 1] & ((1 << unused) - 1):
        raise Malformed("padding bits of a BIT STRING are not zero", offset=q - 1)
    return b[s + 1 : q], unused


def named_bits(b: bytes, s: int, q: int) -> int:
    if q - s == 2 and b[s] < 8 and b[s + 1] and b[s + 1] & (2 << b[s]) - 1 == 1 << b[s]:
        return REVERSED[b[s + 1]]  # one octet, its lowest used bit set: the commonest form
    if q - s > NUMBER_LIMIT:
        raise _too_long("named BIT STRING", s)
    octets, unused = bit_octets(b, s, q)
    if octets and not octets[-1] >> unused & 1:
        raise Malformed("named BIT STRING with trailing zero bits", offset=s)
    return int.from_bytes(octets.translate(REVERSED), "little")


def unstripped_bits(b: bytes, s: int, q: int) -> int:
    if q > len(b):  # before a mask of that many bits is made
        raise Malformed("truncated inside a BIT STRING", offset=s)
    if q - s > NUMBER_LIMIT:
        raise _too_long("named BIT STRING", s)
    if s == q:
        raise Malformed("BIT STRING without its first octet", offset=s)
    unused = b[s]
    if unused > 7 or (unused and q - s == 1):
        raise Malformed(f"BIT STRING with {unused} unused bits in {q - s - 1} octets", offset=s)
    value = int.from_bytes(b[s + 1 : q].translate(REVERSED), "little")
    return value & ((1 << (8 * (q - s - 1) - unused)) - 1)


def null(s: int, q: int) -> bool:
    if s != q:
        raise Malformed("NULL with contents", offset=s)
    return True


def oid_text(b: bytes, s: int, q: int) -> str:
    if s == q or b[q - 1] & 0x80:
        raise Malformed("OBJECT IDENTIFIER is empty or ends inside an arc", offset=s)
    if q - s > 128:
        raise Malformed("OBJECT IDENTIFIER of more than 128 octets", offset=s)
    arcs: list[int] = []
    arc, fresh = 0, True
    for p in range(s, q):
        octet = b[p]
        if fresh and octet == 0x80:
            raise Malformed("arc of an OBJECT IDENTIFIER with a leading zero", offset=p)
        arc = arc << 7 | octet & 0x7F
        fresh = not octet & 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


_X509_SHAPES = {"certificate": (0x30, 0x30, 0x03), "public key": (0x30, 0x03), "CRL": (0x30, 0x30, 0x03)}


def x509(b: bytes, header: int, s: int, q: int, what: str) -> bytes:
    """The X.509 object whose 30 was replaced; contents b[s:q], length octets from `header`."""
    p = s
    for tag in _X509_SHAPES[what]:
        if p + 1 >= q or b[p] != tag:
            raise Malformed(f"contents are no {what}", offset=p)
        n, p = b[p + 1], p + 2
        if n > 127:
            p, n = long_length(b, p)
        p += n
    if p != q:
        raise Malformed(f"contents are no {what}", offset=s)
    return b"\x30" + b[header:q]


def nested_x509(b: bytes, header: int, s: int, q: int, what: str) -> bytes:
    """As `x509`, and the complete object with its 30 inside the tag as well."""
    children = tuple(walk(b, s, q))
    if len(children) == 1 and children[0].tag == 0x30:
        inner = children[0]
        x509(b, inner.start + 1, inner.content, inner.end, what)
        return b[inner.start : inner.end]
    return x509(b, header, s, q, what)
