"""How to tell forms of known peers apart where they share a tag (objects §2.4). Imports keim.der only."""

from __future__ import annotations

from keim.der import walk


def _children(octets: bytes, start: int, end: int) -> list[int]:
    return [element.tag for element in walk(octets, start, end)]


def _is_result(octets: bytes, start: int, end: int) -> bool:
    """A signed object whose data have a sequence number (83): a result, not an error."""
    first = next(walk(octets, start, end), None)
    return first is not None and first.tag == 0x30 and 0x83 in _children(octets, first.content, first.end)


def is_signed_result(octets: bytes, start: int, end: int) -> bool:
    return _is_result(octets, start, end)


def is_signed_error(octets: bytes, start: int, end: int) -> bool:
    return 0x5F37 in _children(octets, start, end) and not _is_result(octets, start, end)


def is_unsigned_error(octets: bytes, start: int, end: int) -> bool:
    return 0x5F37 not in _children(octets, start, end)


def is_bare_data(octets: bytes, start: int, end: int) -> bool:
    """IpaEuiccData without its A0: not just one child A0 or A1, or an A0 that is a list of notifications."""
    children = list(walk(octets, start, end))
    if len(children) != 1 or children[0].tag not in (0xA0, 0xA1):
        return True
    if children[0].tag == 0xA1:
        return False
    inside = _children(octets, children[0].content, children[0].end)
    return bool(inside) and (inside[0] in (0xBF37, 0x30, 0xA1) or 0x5F37 in inside)


def is_empty(octets: bytes, start: int, end: int) -> bool:
    return start == end
