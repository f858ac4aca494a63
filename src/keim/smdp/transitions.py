"""The profile state machine as one table: cause, state before, state after (procedures §12.1).

Nothing else changes the state of a profile. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from keim.smdp.events import ProfileMoved
from keim.smdp.rows import Profile, ProfileState

_S = ProfileState


class Cause(StrEnum):
    ALLOCATED = "allocated"
    LINKED = "linked"
    CONFIRMED = "confirmed"
    CONFIRMED_AND_RELEASED = "confirmed and released"
    RELEASED = "released"
    DELIVERED = "package delivered"
    INSTALLED = "installed"
    TEMPORARY_FAILURE = "temporary installation error"
    POSTPONED = "postponed"
    PERMANENT_FAILURE = "permanent installation error"
    REJECTED = "rejected"
    NOT_ELIGIBLE = "not eligible"
    CODE_RETRIES = "confirmation code retries exceeded"
    DOWNLOAD_RETRIES = "download retries exceeded"
    CANCELLED_TO_STOCK = "cancelled, back to stock"
    CANCELLED_FOR_GOOD = "cancelled, not to be used again"
    DELETED_TO_STOCK = "deleted by the eUICC, back to stock"
    DELETED_FOR_GOOD = "deleted by the eUICC"


_ORDERED: Final = {_S.ALLOCATED, _S.LINKED}
_CANCELLABLE: Final = {*_ORDERED, _S.CONFIRMED, _S.RELEASED, _S.ERROR}
_UNDER_WAY: Final = {_S.RELEASED, _S.DOWNLOADED}

TRANSITIONS: Final[dict[Cause, dict[ProfileState, ProfileState]]] = {
    Cause.ALLOCATED: {_S.AVAILABLE: _S.ALLOCATED},
    Cause.LINKED: {_S.AVAILABLE: _S.LINKED},
    Cause.CONFIRMED: dict.fromkeys(_ORDERED, _S.CONFIRMED),
    Cause.CONFIRMED_AND_RELEASED: dict.fromkeys(_ORDERED, _S.RELEASED),
    Cause.RELEASED: {_S.CONFIRMED: _S.RELEASED},
    Cause.DELIVERED: dict.fromkeys(_UNDER_WAY, _S.DOWNLOADED),
    # A success is a fact even if we had stopped to wait for it (a session postponed or timed out): what the
    # eUICC holds must never be given to another one.
    Cause.INSTALLED: dict.fromkeys({*_UNDER_WAY, _S.ERROR}, _S.INSTALLED),
    Cause.TEMPORARY_FAILURE: dict.fromkeys(_UNDER_WAY, _S.RELEASED),
    Cause.POSTPONED: dict.fromkeys(_UNDER_WAY, _S.RELEASED),
    Cause.PERMANENT_FAILURE: dict.fromkeys(_UNDER_WAY, _S.ERROR),
    Cause.REJECTED: dict.fromkeys(_UNDER_WAY, _S.ERROR),
    Cause.NOT_ELIGIBLE: dict.fromkeys(_UNDER_WAY, _S.ERROR),
    Cause.CODE_RETRIES: dict.fromkeys(_UNDER_WAY, _S.ERROR),
    Cause.DOWNLOAD_RETRIES: dict.fromkeys(_UNDER_WAY, _S.ERROR),
    Cause.CANCELLED_TO_STOCK: dict.fromkeys(_CANCELLABLE, _S.AVAILABLE),
    Cause.CANCELLED_FOR_GOOD: dict.fromkeys(_CANCELLABLE, _S.UNAVAILABLE),
    Cause.DELETED_TO_STOCK: {_S.INSTALLED: _S.AVAILABLE},
    Cause.DELETED_FOR_GOOD: {_S.INSTALLED: _S.UNAVAILABLE},
}

ENDS_ORDER: Final = frozenset({_S.INSTALLED, _S.ERROR, _S.AVAILABLE, _S.UNAVAILABLE})
"""States in which an event at the SM-DS has no purpose any more."""

_FRESH: Final[dict[str, Any]] = {
    "ordered_by": None,
    "eid": None,
    "matching_id": None,
    "code_hash": None,
    "smds_address": None,
    "has_event": False,
    "ordered_at": None,
    "expires_at": None,
    "session": None,
    "code_attempts": 0,
    "download_attempts": 0,
    "bound_eid": None,
    "euicc_otpk": None,
    "wrapped_otsk": None,
}


class Moved(msgspec.Struct, frozen=True):
    profile: Profile
    event: ProfileMoved


def may(profile: Profile, cause: Cause) -> bool:
    return profile.state in TRANSITIONS[cause]


def move(
    profile: Profile, cause: Cause, *, at: datetime, session: bytes | None = None, **changes: Any
) -> Moved:
    """The profile in its next state, one version on. A caller asks `may` first: KeyError is our fault."""
    after = TRANSITIONS[cause][profile.state]
    reset = _FRESH if after is ProfileState.AVAILABLE else {}
    moved = changed(profile, state=after, **{**reset, **changes})
    event = ProfileMoved(
        at=at,
        iccid=profile.iccid,
        before=profile.state,
        after=after,
        cause=cause,
        eid=profile.bound_eid or moved.bound_eid or profile.eid or moved.eid,
        transaction_id=session,
    )
    return Moved(moved, event)


def changed(profile: Profile, **changes: Any) -> Profile:
    """Other members than the state; one version on."""
    return msgspec.structs.replace(profile, version=profile.version + 1, **changes)
