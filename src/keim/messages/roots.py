"""Which messages may begin with a tag: how a lone object is recognised.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keim import messages
from keim.der import STRICT, TOLERANT, V1_0, Message, decode, read_tlv, type_name
from keim.der.view import view
from keim.errors import Malformed


def all_types() -> dict[str, Any]:
    """Every message type by its name in the standard."""
    return {name: getattr(messages, name) for name in messages.__all__}


def types_with_tag(tag: int) -> list[Any]:
    """The classes whose encoding begins with `tag`, requests before responses as they stand in the files."""
    return [
        kind
        for kind in all_types().values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind.__keim_tag__ == tag
    ]


@dataclass(frozen=True, slots=True)
class Recognised:
    """What an object was taken for (`kind` None: for nothing), and why it was not taken for other things."""

    kind: Any
    value: Any
    is_tolerated: bool
    refusals: dict[str, Malformed]


def recognise(octets: bytes, kinds: list[Any] | None = None, *, is_tolerant: bool = True) -> Recognised:
    """The type that explains most of the object: several share a tag, and empty ones accept anything."""
    candidates = types_with_tag(read_tlv(octets, any_length_form=True).tag) if kinds is None else kinds
    refusals: dict[str, Malformed] = {}
    for tolerances in (STRICT, TOLERANT, TOLERANT | V1_0) if is_tolerant else (STRICT,):
        found = []
        for kind in candidates:
            try:
                value = decode(kind, octets, tolerances)
            except Malformed as refusal:
                refusals.setdefault(type_name(kind), refusal)
            else:
                found.append((_unknown_elements(octets, kind), kind, value))
        if found:
            unknown, kind, value = min(found, key=lambda row: row[0])
            if kinds is not None or unknown == 0 or read_tlv(octets, any_length_form=True).tag > 0xFF:
                return Recognised(kind, value, bool(tolerances), refusals)
    return Recognised(None, None, False, refusals)


def _unknown_elements(octets: bytes, kind: Any) -> int:
    """How many TLVs of the object the type says nothing about."""
    return sum(not node.type and not node.name for node in view(octets, kind).walk() if node.start)
