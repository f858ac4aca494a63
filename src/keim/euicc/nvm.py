"""The commit point: a new state becomes a list of named writes that reach the medium all or not at all.

A *cell* is the smallest thing written: a field of `IsdrState`, or a field of one profile. A transaction
writes the cells that differ, in the order of their declaration, and then a seal; without the seal the next
boot ignores the cells (euicc.md section 14). Cells are compared by identity first, so a command costs what
it changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec

from keim.euicc.faults import Faults
from keim.euicc.isdr_state import IsdrState
from keim.euicc.state import CardState, Profile

ISDR_FIELDS = tuple(field.name for field in msgspec.structs.fields(IsdrState))
PROFILE_FIELDS = tuple(field.name for field in msgspec.structs.fields(Profile) if field.name != "aid")
_isdr_values = attrgetter(*ISDR_FIELDS)
_profile_values = attrgetter(*PROFILE_FIELDS)


class Write(NamedTuple):
    """One named cell with its new value. A removed profile is one write of None to `profile/<aid>`."""

    cell: str
    value: object


class Medium(Protocol):
    """Where transactions go. `put` calls may be lost together as long as `seal` was not reached."""

    def put(self, write: Write) -> None: ...

    def seal(self, transaction: str, state: CardState) -> None: ...

    def reload(self) -> CardState:
        """The state after the last seal that reached the medium."""
        ...


class MemoryMedium:
    """Keeps the last sealed state and nothing else."""

    __slots__ = ("_state",)

    def __init__(self, state: CardState) -> None:
        self._state = state

    def put(self, write: Write) -> None:
        """Nothing is kept of an unsealed transaction."""

    def seal(self, transaction: str, state: CardState) -> None:
        self._state = state

    def reload(self) -> CardState:
        return self._state


def changes(old: CardState, new: CardState) -> Sequence[Write]:
    """The cells that differ, in a fixed order: the ISD-R's, removed profiles, changed and new profiles."""
    writes = _differing("isdr", ISDR_FIELDS, _isdr_values, old.isdr, new.isdr)
    if old.profiles is not new.profiles:
        writes += _profile_changes(old, new)
    if old.applets is not new.applets and old.applets != new.applets:
        writes.append(Write("applets", new.applets))
    return writes


def _profile_changes(old: CardState, new: CardState) -> Iterator[Write]:
    before = {profile.aid: profile for profile in old.profiles}
    kept = {profile.aid for profile in new.profiles}
    for aid in before:
        if aid not in kept:
            yield Write(f"profile/{aid.hex()}", None)
    for profile in new.profiles:
        known = before.get(profile.aid)
        if known is not profile:
            yield from _differing(
                f"profile/{profile.aid.hex()}", PROFILE_FIELDS, _profile_values, known, profile
            )


def _differing(
    prefix: str, names: tuple[str, ...], values_of: attrgetter[Any], old: object | None, new: object
) -> list[Write]:
    if old is new:
        return []
    values = values_of(new)
    if old is None:
        return [Write(f"{prefix}/{name}", value) for name, value in zip(names, values, strict=True)]
    return [
        Write(f"{prefix}/{name}", value)
        for name, former, value in zip(names, values_of(old), values, strict=True)
        if former is not value and former != value
    ]


def commit(
    medium: Medium, faults: Faults | None, transaction: str, old: CardState, new: CardState
) -> CardState:
    """Writes one transaction and returns the state that holds from now on."""
    writes = changes(old, new)
    if not writes:
        return new
    if faults is None:
        for write in writes:
            medium.put(write)
        medium.seal(transaction, new)
        return new
    for write in writes:
        faults.before_write(f"{transaction}: {write.cell}")
        medium.put(write)
    faults.before_write(f"{transaction}: seal")
    medium.seal(transaction, new)
    faults.before_write(f"{transaction}: after the seal")
    return new
