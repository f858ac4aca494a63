"""ES2+.ReleaseProfile (SGP.22 §5.3.4): lets a confirmed order be downloaded. Pure; imports floor 0 only."""

from __future__ import annotations

from datetime import datetime

from keim.messages.es2p import OrderOk, ReleaseProfile
from keim.messages.execution_status import ICCID_INVALID_TRANSITION, ICCID_UNKNOWN, Failure
from keim.seams import Entropy
from keim.smdp.facts import Decision, Facts, Registration, Wanted
from keim.smdp.orders import foreign, is_foreign
from keim.smdp.rows import ProfileState
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, changed, may, move


def wanted(request: ReleaseProfile) -> Wanted:
    return Wanted(iccid=request.iccid)


def decide(
    smdp: Smdp, facts: Facts, request: ReleaseProfile, caller: str, *, now: datetime, entropy: Entropy
) -> Decision:
    del smdp, entropy
    profile = facts.profile
    if profile is None:
        return Decision(reply=Failure(ICCID_UNKNOWN, "no such profile", request.iccid))
    if is_foreign(profile, caller):
        return Decision(reply=foreign(profile.iccid))
    if profile.state is ProfileState.RELEASED:
        return Decision(reply=OrderOk())  # the repetition of a call that was executed
    if not may(profile, Cause.RELEASED):
        return Decision(
            reply=Failure(ICCID_INVALID_TRANSITION, f"the profile is {profile.state}", profile.iccid)
        )
    registration = None
    has_event = False
    if profile.smds_address is not None and profile.eid is not None:
        prepared = changed(profile)
        registration = Registration(profile.smds_address, profile.eid, profile.matching_id or "", prepared)
        profile, has_event = prepared, True
    moved = move(profile, Cause.RELEASED, at=now, has_event=has_event)
    return Decision(reply=OrderOk(), rows=(moved.profile,), events=(moved.event,), registration=registration)
