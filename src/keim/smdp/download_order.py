"""ES2+.DownloadOrder (SGP.22 §5.3.1): takes a profile out of stock for an order. Pure; floor 0 only."""

from __future__ import annotations

from datetime import datetime

from keim.messages.es2p import DownloadOrder, DownloadOrderOk
from keim.messages.execution_status import (
    ELEMENT_MISSING,
    ICCID_NOT_AVAILABLE,
    ICCID_UNKNOWN,
    PROFILE_TYPE_NOT_ALLOWED,
    PROFILE_TYPE_REFUSED,
    PROFILE_TYPE_UNAVAILABLE,
    PROFILE_TYPE_UNKNOWN,
    Failure,
)
from keim.seams import Entropy
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.orders import foreign, is_foreign
from keim.smdp.rows import Profile, ProfileState
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, may, move


def wanted(request: DownloadOrder) -> Wanted:
    if request.iccid is not None:
        return Wanted(iccid=request.iccid)
    return Wanted(profile_type=request.profile_type)


def decide(
    smdp: Smdp, facts: Facts, request: DownloadOrder, caller: str, *, now: datetime, entropy: Entropy
) -> Decision:
    del entropy
    if request.iccid is None and request.profile_type is None:
        return Decision(reply=Failure(ELEMENT_MISSING, "iccid or profileType is needed"))
    profile = facts.profile if request.iccid is not None else _of_type(facts, request, caller)
    if isinstance(profile, Failure):
        return Decision(reply=profile)
    if profile is None:
        return Decision(reply=Failure(ICCID_UNKNOWN, "no such profile", request.iccid))
    if is_foreign(profile, caller):
        return Decision(reply=foreign(profile.iccid))
    if request.profile_type not in (None, profile.profile_type):
        text = f"the profile is of type {profile.profile_type}"
        return Decision(reply=Failure(PROFILE_TYPE_REFUSED, text, request.profile_type))
    if _is_repeated(profile, request, caller):
        return Decision(reply=DownloadOrderOk(iccid=profile.iccid))
    cause = Cause.ALLOCATED if request.eid is None else Cause.LINKED
    if not may(profile, cause):
        return Decision(reply=Failure(ICCID_NOT_AVAILABLE, f"the profile is {profile.state}", profile.iccid))
    lifetime = smdp.rules.order_lifetime
    moved = move(
        profile,
        cause,
        at=now,
        ordered_by=caller,
        eid=request.eid,
        ordered_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    return Decision(reply=DownloadOrderOk(iccid=profile.iccid), rows=(moved.profile,), events=(moved.event,))


def _is_repeated(profile: Profile, request: DownloadOrder, caller: str) -> bool:
    """A call by ICCID with the same parameters has the same answer, while the order is as it left it."""
    state = ProfileState.ALLOCATED if request.eid is None else ProfileState.LINKED
    return (
        request.iccid is not None
        and profile.state is state
        and profile.eid == request.eid
        and profile.ordered_by == caller
    )


def _of_type(facts: Facts, request: DownloadOrder, caller: str) -> Profile | Failure:
    for profile in facts.available:
        if not is_foreign(profile, caller):
            return profile
    if not facts.is_type_known:
        return Failure(PROFILE_TYPE_UNKNOWN, "no such profile type", request.profile_type)
    if facts.available:
        return Failure(
            PROFILE_TYPE_NOT_ALLOWED, "profiles of this type belong to others", request.profile_type
        )
    return Failure(PROFILE_TYPE_UNAVAILABLE, "no profile of this type is left", request.profile_type)
