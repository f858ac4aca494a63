"""ES2+.CancelOrder (SGP.22 §5.3.3): ends an order before its download. Pure; imports floor 0 only."""

from __future__ import annotations

from datetime import datetime

from keim.messages.es2p import CancelOrder, OrderOk
from keim.messages.execution_status import (
    EID_ELEMENT_MISSING,
    EID_OTHER_LINKED,
    ICCID_INVALID_TRANSITION,
    ICCID_UNKNOWN,
    MATCHING_ID_WRONG,
    Failure,
)
from keim.seams import Entropy
from keim.smdp import progress
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.orders import foreign, is_foreign
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, may, move


def wanted(request: CancelOrder) -> Wanted:
    return Wanted(iccid=request.iccid)


def decide(
    smdp: Smdp, facts: Facts, request: CancelOrder, caller: str, *, now: datetime, entropy: Entropy
) -> Decision:
    del smdp, entropy
    profile = facts.profile
    if profile is None:
        return Decision(reply=Failure(ICCID_UNKNOWN, "no such profile", request.iccid))
    if is_foreign(profile, caller):
        return Decision(reply=foreign(profile.iccid))
    is_to_stock = request.final_profile_status_indicator == "Available"
    cause = Cause.CANCELLED_TO_STOCK if is_to_stock else Cause.CANCELLED_FOR_GOOD
    if not may(profile, cause):
        return Decision(
            reply=Failure(ICCID_INVALID_TRANSITION, f"the profile is {profile.state}", profile.iccid)
        )
    if profile.eid is not None and request.eid is None:
        return Decision(reply=Failure(EID_ELEMENT_MISSING, "the order is linked to an EID: eid is needed"))
    if request.eid is not None and request.eid != profile.eid:
        return Decision(reply=Failure(EID_OTHER_LINKED, "the order is not for this EID", request.eid))
    if request.matching_id is not None and request.matching_id != profile.matching_id:
        return Decision(
            reply=Failure(MATCHING_ID_WRONG, "the order has another matching id", request.matching_id)
        )
    moved = move(profile, cause, at=now, has_event=False)
    return Decision(
        reply=OrderOk(),
        rows=(moved.profile,),
        events=(moved.event,),
        errands=progress.event_deletion(profile, now=now),
    )
