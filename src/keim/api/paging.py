"""Cursors: opaque text that says where a page ended, good only for the list and filters that it came from."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Query

from keim.errors import Refused

Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next` of the page before; absent: the first page.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
DEFAULT_LIMIT: Final = 100
Position = str | int


def cursor_of(kind: str, position: Position, *filters: object) -> str:
    """`kind` names the list; `filters` are the values it was asked with, each time in the same order."""
    octets = json.dumps([position, _mark(kind, filters)], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def text_position(cursor: str | None, kind: str, *filters: object) -> str:
    """Where the page begins: after this; empty for the first page."""
    position = _position(cursor, kind, filters)
    if position is None:
        return ""
    if not isinstance(position, str):
        raise _bad()
    return position


def number_position(cursor: str | None, kind: str, *filters: object, first: int = -1) -> int:
    position = _position(cursor, kind, filters)
    if position is None:
        return first
    if type(position) is not int or not -(1 << 63) <= position < 1 << 63:
        raise _bad()
    return position


def _position(cursor: str | None, kind: str, filters: tuple[object, ...]) -> object:
    if cursor is None:
        return None
    try:
        octets = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position, mark = json.loads(octets)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise _bad() from None
    if mark != _mark(kind, filters):
        raise Refused("the cursor belongs to another list or other filters", code="api.bad_cursor")
    if isinstance(position, str) and "\0" in position:
        raise _bad()
    return position


def _mark(kind: str, filters: tuple[object, ...]) -> str:
    return sha256(repr((kind, filters)).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _bad() -> Refused:
    return Refused("this is no cursor of ours", code="api.bad_cursor")
