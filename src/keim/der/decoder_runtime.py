"""What generated decoders call off their fast path, chosen by what is tolerated.

Imports the floor's own files.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from keim.der import read
from keim.der.tolerance import Tolerance
from keim.der.write import tag_octets
from keim.errors import Malformed, UnsupportedAlternative


def wrong_size(s: int, found: int, least: int, most: int) -> Malformed:
    wanted = str(least) if least == most else f"{least} to {most}"
    return Malformed(f"size {found}, allowed is {wanted}", offset=s)


def other_length(b: bytes, s: int, wanted: int, end: int) -> Malformed:
    """Why an element of fixed length, whose contents should start at `s`, is refused."""
    n = b[s - 1]
    if n > 127:
        s, n = read.long_length(b, s)
    return read.beyond(s, s + n, end) if s + n > end else wrong_size(s, n, wanted, wanted)


def trailing(b: bytes, p: int, e: int) -> Malformed:
    if p > e:
        return read.beyond(e, p, e)
    return Malformed(f"{e - p} octets too many, beginning with {read.tag_at(b, p, e)}", offset=p)


def unsupported(b: bytes, p: int, e: int, name: str) -> Malformed:
    found = read.tag_at(b, p, e)
    if found == "the end":
        return Malformed(f"no alternative of {name}", offset=p)
    return UnsupportedAlternative(f"{found} is no alternative of {name}", offset=p)


def inner_content(b: bytes, p: int, e: int, tag: int) -> tuple[int, int]:
    """Where a CHOICE's contents are when its own tag was kept inside the one that replaces it."""
    header = tag_octets(tag)
    if b.startswith(header, p):
        inner = read.read_tlv(b, p, e)
        if inner.end == e:
            return inner.content, e
    return p, e


RUNTIME: dict[str, Any] = {
    "missing": read.missing,
    "beyond": read.beyond,
    "unknown_elements": read.unknown_elements,
    "null": read.null,
    "oid_text": read.oid_text,
    "bit_octets": read.bit_octets,
    "read_tlv": read.read_tlv,
    "wrong_size": wrong_size,
    "other_length": other_length,
    "trailing": trailing,
    "unsupported": unsupported,
    "inner_content": inner_content,
}


def runtime(tolerances: Set[Tolerance]) -> dict[str, Any]:
    """The functions that generated decoders call; which ones depends on what is tolerated."""

    def pick(tolerance: Tolerance, tolerant: Any, strict: Any) -> Any:
        return tolerant if tolerance in tolerances else strict

    return RUNTIME | {
        "long_length": pick(Tolerance.LONG_LENGTHS, read.any_length, read.long_length),
        "integer": pick(Tolerance.PADDED_INTEGERS, read.padded_integer, read.integer),
        "boolean": pick(Tolerance.ANY_TRUE, read.any_boolean, read.boolean),
        "named_bits": pick(Tolerance.UNSTRIPPED_BITS, read.unstripped_bits, read.named_bits),
        "x509": pick(Tolerance.NESTED_X509, read.nested_x509, read.x509),
    }
