"""The card's values as octets: snapshots and journal cells, by msgspec and the declared types. No I/O.

A cell is written under the name that `nvm` gave it and read back as the type of the field it names, so a
new field of `IsdrState`, `ProfileRecord` or `UiccState` needs nothing here as long as it has a default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from keim.euicc.identity import Identity
from keim.euicc.isdr_state import IsdrState
from keim.euicc.nvm import Write
from keim.euicc.state import CardState, Profile

FORMAT = 1


class Snapshot(msgspec.Struct, frozen=True):
    """A whole card."""

    format: int
    identity: Identity
    state: CardState


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """One journalled write: the cell's name and its value, encoded."""

    name: str
    value: bytes


def _to_plain(value: object) -> object:
    """Value types of `keim.ids` are str subclasses; they are stored as text."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a card")


def _from_plain(kind: type, value: Any) -> object:
    return kind(value)


_types_of: dict[type, dict[str, Any]] = {
    struct: {field.name: field.type for field in msgspec.structs.fields(struct)}
    for struct in (IsdrState, Profile, CardState)
}


def encode_snapshot(identity: Identity, state: CardState) -> bytes:
    return msgspec.msgpack.encode(Snapshot(FORMAT, identity, state), enc_hook=_to_plain)


def decode_snapshot(data: bytes) -> Snapshot:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) for anything that is no snapshot."""
    return msgspec.msgpack.decode(data, type=Snapshot, dec_hook=_from_plain)


def encode_write(write: Write) -> Cell:
    return Cell(write.cell, msgspec.msgpack.encode(write.value, enc_hook=_to_plain))


def apply(state: CardState, cells: Iterable[Cell]) -> CardState:
    """The state after a sealed transaction."""
    isdr: dict[str, Any] = {}
    profiles: dict[bytes, dict[str, Any]] = {}
    removed: set[bytes] = set()
    others: dict[str, Any] = {}
    for cell in cells:
        area, _, rest = cell.name.partition("/")
        if area == "isdr":
            isdr[rest] = _value(IsdrState, rest, cell.value)
        elif area == "profile":
            aid, _, field = rest.partition("/")
            if field:
                profiles.setdefault(bytes.fromhex(aid), {})[field] = _value(Profile, field, cell.value)
            else:
                removed.add(bytes.fromhex(aid))
        else:
            others[area] = _value(CardState, area, cell.value)
    if isdr:
        others["isdr"] = msgspec.structs.replace(state.isdr, **isdr)
    if profiles or removed:
        others["profiles"] = _profiles(state, profiles, removed)
    return msgspec.structs.replace(state, **others)


def _value(struct: type, field: str, data: bytes) -> Any:
    return msgspec.msgpack.decode(data, type=_types_of[struct][field], dec_hook=_from_plain)


def _profiles(
    state: CardState, changed: Mapping[bytes, dict[str, Any]], removed: set[bytes]
) -> tuple[Profile, ...]:
    kept = [profile for profile in state.profiles if profile.aid not in removed]
    known = {profile.aid for profile in kept}
    updated = [msgspec.structs.replace(profile, **changed.get(profile.aid, {})) for profile in kept]
    new = [Profile(aid=aid, **fields) for aid, fields in changed.items() if aid not in known]
    return (*updated, *new)
