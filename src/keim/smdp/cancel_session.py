"""ES9+.CancelSession (SGP.22 §5.6.5): why the device stopped, and what that means for the order.

Reasons and effects are those of procedures §11.9. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final

from keim.crypto.signed import cancel_session_tbs
from keim.deciding import Deciding, ask
from keim.messages.authentication import CancelSessionOk, CancelSessionReason
from keim.messages.es9p import CancelSessionRequestEs9
from keim.messages.execution_status import (
    EUICC_SIGNATURE_INVALID,
    SMDP_OID_WRONG,
    TRANSACTION_UNKNOWN,
    Failure,
)
from keim.seams import Entropy
from keim.smdp import progress
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import OPEN_STAGES, Errand, SessionStage
from keim.smdp.sessions import UNKNOWN, ended, euicc_key, is_alive, opened_session
from keim.smdp.settings import Smdp
from keim.smdp.transitions import ENDS_ORDER, Cause, may, move

LATER: Final = frozenset({CancelSessionReason.POSTPONED, CancelSessionReason.TIMEOUT})


def wanted(request: CancelSessionRequestEs9) -> Wanted:
    return Wanted(transaction_id=request.transaction_id)


def decide(
    smdp: Smdp, facts: Facts, request: CancelSessionRequestEs9, *, now: datetime, entropy: Entropy
) -> Deciding[Decision]:
    del entropy
    session, profile = facts.session or opened_session(smdp, request.transaction_id), facts.profile
    if session is None or not is_alive(session, now):
        return Decision(reply=UNKNOWN)
    response = request.cancel_session_response.cancel_session_response_ok
    if response is None:
        # Unsigned: it may end a dialogue but say nothing about an order; a delivered package is waited for.
        rows = () if session.stage is SessionStage.DELIVERED else (ended(session),)
        return Decision(reply=CancelSessionOk(), rows=rows)
    if session.stage not in OPEN_STAGES:
        return Decision(reply=UNKNOWN)
    signed = response.euicc_cancel_session_signed
    if signed.transaction_id != session.transaction_id:
        return Decision(reply=Failure(TRANSACTION_UNKNOWN, "the signed data are of another transaction"))
    covered = cancel_session_tbs(signed.encode())
    check = partial(euicc_key(session).accepts, response.euicc_cancel_session_signature, covered)
    if not (yield from ask(check)):
        return Decision(reply=Failure(EUICC_SIGNATURE_INVALID, "euiccCancelSessionSignature does not verify"))
    if signed.smdp_oid != smdp.binders[session.server_ci_pk_id].oid:
        return Decision(reply=Failure(SMDP_OID_WRONG, f"the OID {signed.smdp_oid} is not ours"))
    cause = Cause.POSTPONED if signed.reason in LATER else Cause.REJECTED
    if profile is None or profile.session != session.transaction_id or not may(profile, cause):
        return Decision(reply=CancelSessionOk(), rows=(ended(session),))
    moved = move(profile, cause, at=now, session=session.transaction_id)
    errands: tuple[Errand, ...] = ()
    if moved.profile.state in ENDS_ORDER:
        errands = progress.event_deletion(profile, now=now)
        moved = move(profile, cause, at=now, session=session.transaction_id, has_event=False)
    return Decision(
        reply=CancelSessionOk(), rows=(ended(session), moved.profile), events=(moved.event,), errands=errands
    )
