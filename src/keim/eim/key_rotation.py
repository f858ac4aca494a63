"""Rotation of the eIM's signing key over a fleet: what is ordered, and who has followed (procedures §3.5).

A device follows when its own result proves the new key; until then the old one signs for it. Pure; imports
floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from keim.der import PublicKeyInfo
from keim.eim.compose import package_of
from keim.eim.rows import Device, DeviceState, State
from keim.eim.selection import Selection
from keim.eim.work import PackageWork
from keim.messages.package import Eco, EimConfigurationData, EimPublicKeyData

IN_PROGRESS: Final = frozenset({State.QUEUED, State.DELIVERED})
LEFT_BEHIND: Final = "the eIM gave up the key that this eUICC knows"


class RotationState(StrEnum):
    BEGUN = "begun"
    """There is no new key yet."""
    ORDERING = "ordering"
    """The new key is there; the order of this round may not be complete."""
    ORDERED = "ordered"
    FINISHING = "finishing"
    FINISHED = "finished"


class Rotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rotation. Every step is written before the next one is taken, so that it goes on after any cut."""

    number: int
    state: RotationState
    old: str
    """Name of the key that was current when it began."""
    begun_at: datetime
    actor: str = ""
    new: str = ""
    round: int = 1
    """The second and later ones are for those who failed in the one before."""
    left: tuple[str, ...] = ()
    """Who had not followed when it was finished by force."""
    ended_at: datetime | None = None


def update_of(eim_id: str, spki: bytes) -> PackageWork:
    """updateEim with nothing but the key: counter, token and addresses stay as they are."""
    key = EimPublicKeyData(eim_public_key=PublicKeyInfo(spki))
    update = EimConfigurationData(eim_id=eim_id, eim_public_key_data=key)
    return package_of([Eco(update_eim=update)], own_eim_id=eim_id)


def reference_of(rotation: Rotation, tenant: str) -> str:
    """The order of one tenant in one round: the same after a cut, so that nothing is ordered twice."""
    return f"rotate-key {rotation.number}.{rotation.round} {tenant}"


def has_followed(device: Device, rotation: Rotation) -> bool:
    """Whoever is not active now is asked when it is let in again, as long as the rotation is not finished."""
    return device.state is not DeviceState.ACTIVE or device.signer == rotation.new


class Round(msgspec.Struct, frozen=True):
    """The order of one tenant in one round, as far as it concerns those who have not followed."""

    selection: Selection
    states: dict[str, State]
    """EID -> state of its operation; absent: it has not polled since."""
    is_active: bool


def must_be_asked_again(device: Device, ordinal: int, rounds: Iterable[Round]) -> bool:
    """Whether a device that has not followed was left out, or failed. `rounds`: the newest first."""
    for one in rounds:
        if ordinal in one.selection:
            state = one.states.get(device.eid)
            return not one.is_active if state is None else state not in IN_PROGRESS
    return True
