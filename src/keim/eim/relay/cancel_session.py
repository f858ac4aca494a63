"""ESipa.CancelSession: expanded, verified, passed on; the job ends with the reason (procedures §11.9).

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.crypto.compact import expand_cancel_session_response
from keim.crypto.signed import cancel_session_tbs
from keim.deciding import alone
from keim.der import TOLERANT, tlv
from keim.eim.change import Change
from keim.eim.events import ResultReceived
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.relay.authenticate_client import open_relay
from keim.eim.relay.call import Call, NoRelay, Unanswered, error, failure_text, note
from keim.eim.relayed import session_of
from keim.eim.results import download
from keim.eim.results.verification import BY_SIGNATURE, SWITCHED_OFF, UNSIGNED, is_signed_by, why_not
from keim.eim.rows import State
from keim.eim.settings import Eim
from keim.eim.words import name_of
from keim.errors import KeimError
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import CancelSessionOk, CancelSessionResponse
from keim.messages.execution_status import Failure, Function, integer_of

_Error = m.CancelSessionErrorEsipa
NAME: Final = Function.CANCEL_SESSION
OK: Final = tlv(0xBF41, tlv(0xA0))


def _refuse(number: int) -> NoRelay:
    return NoRelay(error(0xBF41, 0x81, number))


def wanted(request: m.CancelSessionRequestEsipa) -> Wanted:
    return Wanted(relay=request.transaction_id, with_knowledge=True)


def _expanded(change: Change, response: CancelSessionResponse) -> CancelSessionResponse | None:
    if response.compact_cancel_session_response_ok is None:
        return response
    try:
        full = expand_cancel_session_response(response.encode(), session_of(change.relay, change.knowledge))
        return CancelSessionResponse.decode(full, TOLERANT)
    except KeimError:
        return None


def prepare(eim: Eim, facts: Facts, request: m.CancelSessionRequestEsipa, context: Context) -> Call | NoRelay:
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return _refuse(_Error.INVALID_TRANSACTION_ID)
    change = Change(eim, facts, context, device)
    full = _expanded(change, request.cancel_session_response)
    if full is None or (eim.switches_of(device).verifies and not _is_genuine(change, full)):
        return _refuse(_Error.EUICC_SIGNATURE_INVALID)
    asked = es9p.CancelSessionRequestEs9(transaction_id=relay.transaction_id, cancel_session_response=full)
    return Call(relay.address, asked)


def _is_genuine(change: Change, response: CancelSessionResponse) -> bool:
    ok, relay = response.cancel_session_response_ok, change.relay
    if ok is None:
        return True
    tbs = cancel_session_tbs(ok.euicc_cancel_session_signed.encode())
    if relay is None or relay.euicc_certificate is None:  # before AuthenticateClient
        return alone(why_not(change, ok.euicc_cancel_session_signature, tbs)) is None
    return is_signed_by(relay.euicc_certificate, ok.euicc_cancel_session_signature, tbs)


def conclude(
    eim: Eim,
    facts: Facts,
    request: m.CancelSessionRequestEsipa,
    *,
    call: Call,
    reply: object,
    context: Context,
) -> Decision:
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return Decision(reply=_refuse(_Error.INVALID_TRANSACTION_ID).reply)
    change = Change(eim, facts, context, device)
    full = _expanded(change, request.cancel_session_response)
    ok = None if full is None else full.cancel_session_response_ok
    if ok is not None:
        reason = name_of(ok.euicc_cancel_session_signed.reason)
        verifies = eim.switches_of(device).verifies
        _end(change, relay.order, f"cancelled: {reason}", BY_SIGNATURE if verifies else SWITCHED_OFF)
    else:
        _end(change, relay.order, "cancelled: the eUICC had no session", UNSIGNED)
    change.relay = msgspec.structs.replace(relay, is_ended=True)
    if isinstance(reply, CancelSessionOk):
        note(change, NAME, call, "ok", relay.transaction_id)
        return change.decision(OK)
    if isinstance(reply, Failure | Unanswered):
        note(change, NAME, call, failure_text(reply), relay.transaction_id)
        number = integer_of(NAME, reply.code) if isinstance(reply, Failure) else 127
        return change.decision(_refuse(number).reply)
    note(change, NAME, call, "an answer of another function", relay.transaction_id)
    return change.decision(_refuse(_Error.UNDEFINED_ERROR).reply)


def _end(change: Change, order: int, outcome: str, verification: str) -> None:
    """Concluded with the cancel's outcome; a trigger result that follows is a repetition."""
    known = change.facts.of_order(order)
    if known is None or known.operation.state is not State.DELIVERED:
        return
    row = download.end(change, known.operation, State.FAILED, (outcome,), verification)
    pause = change.device.pause if row.state is State.QUEUED else None
    change.events.append(
        ResultReceived(
            at=change.now,
            eid=change.eid,
            order=order,
            state=row.state.value,
            outcome=row.outcome,
            transaction_id=row.transaction_id,
            verification=verification,
            attempt=row.attempt,
            again_at=None if pause is None else pause.until,
        )
    )
