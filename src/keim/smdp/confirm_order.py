"""ES2+.ConfirmOrder (SGP.22 §5.3.2): fixes matching id, confirmation code and discovery; may release.

Checks in the order of procedures §12.3. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keim.crypto.confirmation import confirmation_code_hash
from keim.messages.es2p import ConfirmOrder, ConfirmOrderOk
from keim.messages.execution_status import (
    EID_ELEMENT_MISSING,
    EID_OTHER_LINKED,
    ICCID_NOT_AVAILABLE,
    ICCID_UNKNOWN,
    MATCHING_ID_IN_USE,
    MATCHING_ID_OTHER_FIXED,
    SMDS_ADDRESS_REFUSED,
    Failure,
)
from keim.seams import Entropy
from keim.smdp.events import OrderConfirmed
from keim.smdp.facts import Decision, Facts, Registration, Wanted
from keim.smdp.orders import HOST_NAME, foreign, is_foreign, new_matching_id
from keim.smdp.rows import Profile, ProfileState
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, changed, may, move


def wanted(request: ConfirmOrder) -> Wanted:
    return Wanted(iccid=request.iccid, matching_id=request.matching_id or None)


def decide(
    smdp: Smdp, facts: Facts, request: ConfirmOrder, caller: str, *, now: datetime, entropy: Entropy
) -> Decision:
    profile = facts.profile
    if profile is None:
        return Decision(reply=Failure(ICCID_UNKNOWN, "no such profile", request.iccid))
    if is_foreign(profile, caller):
        return Decision(reply=foreign(profile.iccid))
    failure = _failure(profile, facts, request)
    if failure is not None:
        return Decision(reply=failure)
    eid = request.eid or profile.eid
    matching_id = _matching_id(profile, request, entropy)
    code = None if request.confirmation_code is None else confirmation_code_hash(request.confirmation_code)
    terms: dict[str, Any] = {
        "eid": eid,
        "matching_id": matching_id,
        "code_hash": None if code is None else code.reveal(),
        "smds_address": request.smds_address,
    }
    reply = ConfirmOrderOk(eid=eid, matching_id=matching_id, smdp_address=smdp.address)
    cause = Cause.CONFIRMED_AND_RELEASED if request.release_flag else Cause.CONFIRMED
    if not may(profile, cause):
        if _is_repeated(profile, terms, is_released=request.release_flag):
            return Decision(reply=reply)
        return Decision(reply=Failure(ICCID_NOT_AVAILABLE, f"the order is {profile.state}", profile.iccid))
    confirmed = OrderConfirmed(
        at=now, iccid=profile.iccid, eid=eid, has_code=code is not None, is_default=matching_id == ""
    )
    registration = None
    if request.release_flag and request.smds_address is not None and eid is not None:
        prepared = changed(profile, matching_id=matching_id)
        registration = Registration(request.smds_address, eid, matching_id, prepared)
        profile = prepared
        terms["has_event"] = True
    moved = move(profile, cause, at=now, **terms)
    return Decision(
        reply=reply, rows=(moved.profile,), events=(confirmed, moved.event), registration=registration
    )


def _failure(profile: Profile, facts: Facts, request: ConfirmOrder) -> Failure | None:
    eid = request.eid or profile.eid
    if profile.state is ProfileState.AVAILABLE:
        return Failure(ICCID_NOT_AVAILABLE, "the profile has not been ordered", profile.iccid)
    if request.eid is not None and profile.eid not in (None, request.eid):
        return Failure(EID_OTHER_LINKED, "the order is linked to another EID", request.eid)
    if request.matching_id:
        if facts.matching is not None and facts.matching.iccid != profile.iccid:
            return Failure(MATCHING_ID_IN_USE, "another order has this matching id", request.matching_id)
        if profile.matching_id not in (None, request.matching_id):
            return Failure(MATCHING_ID_OTHER_FIXED, "the order has another matching id", request.matching_id)
    if request.matching_id == "" and eid is None:
        return Failure(EID_ELEMENT_MISSING, "a default SM-DP+ order is found by its EID: eid is needed")
    if request.smds_address is not None:
        if eid is None:
            return Failure(EID_ELEMENT_MISSING, "an SM-DS event is for one EID: eid is needed")
        if not HOST_NAME.fullmatch(request.smds_address.partition(":")[0]):
            return Failure(SMDS_ADDRESS_REFUSED, "smdsAddress is no host name", request.smds_address[:100])
        if request.matching_id == "":
            return Failure(EID_ELEMENT_MISSING, "an SM-DS event needs a matching id")
    return None


def _matching_id(profile: Profile, request: ConfirmOrder, entropy: Entropy) -> str:
    if request.matching_id is not None:
        return request.matching_id
    return profile.matching_id or new_matching_id(entropy.bytes(20))


def _is_repeated(profile: Profile, terms: dict[str, Any], *, is_released: bool) -> bool:
    state = ProfileState.RELEASED if is_released else ProfileState.CONFIRMED
    return profile.state is state and all(getattr(profile, name) == value for name, value in terms.items())
