"""What a request may look like before anything reads it: encodings, size and depth of JSON. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from keim.errors import Refused

_OPENING = b"[{"
_CLOSING = b"]}"


def check_path(raw_path: bytes) -> None:
    _text(unquote_to_bytes(raw_path), "the path")


def parameters_in(query: bytes) -> list[tuple[str, str]]:
    """Name and value of each parameter, or a refusal of what is no text."""
    _text(unquote_to_bytes(query), "the query")
    return parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)


def _text(octets: bytes, what: str) -> None:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{what} is not UTF-8", code="api.bad_text") from None
    if "\0" in text:
        raise Refused(f"{what} holds a NUL character", code="api.bad_text")


def check_json(body: bytes, depth: int) -> None:
    """Refuses what is no JSON, is nested too deeply, or holds text that a database would refuse."""
    if body.count(b"[") + body.count(b"{") > depth and depth_of(body) > depth:
        raise Refused(f"JSON may be nested {depth} levels deep", code="api.bad_json")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"the body is no JSON: {error}", code="api.bad_json") from None
    if b"\\u0000" in body and _has_nul(value):
        raise Refused("text in the body holds a NUL character", code="api.bad_text")


def depth_of(body: bytes) -> int:
    """The deepest nesting of brackets outside of strings."""
    depth = deepest = 0
    is_text = is_escaped = False
    for octet in body:
        if is_text:
            if is_escaped:
                is_escaped = False
            elif octet == 0x5C:
                is_escaped = True
            elif octet == 0x22:
                is_text = False
        elif octet == 0x22:
            is_text = True
        elif octet in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif octet in _CLOSING:
            depth -= 1
    return deepest


def _has_nul(value: Any) -> bool:  # Any: JSON of any shape, looked through before a model reads it
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(map(_has_nul, value))
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(member) for name, member in value.items())
    return False
