"""ES11: InitiateAuthentication and AuthenticateClient of an SM-DS (procedures §13.2). Pure; floor 0 only."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.authentication import authenticate_euicc, settle_terms, sign_first_word
from keim.deciding import alone
from keim.errors import Malformed
from keim.messages.es9p import AuthenticateClientRequest, InitiateAuthenticationRequest
from keim.messages.es11 import AuthenticateClientOkEs11, EventEntries
from keim.messages.execution_status import (
    EUICC_SIGNATURE_INVALID,
    EVENT_UNKNOWN,
    TRANSACTION_UNKNOWN,
    Failure,
)
from keim.pki import Certificate
from keim.seams import Entropy
from keim.smds.rows import Decision, EventRecord, Facts, Happened, Session, Wanted
from keim.smds.settings import Smds


def initiate_wanted(request: InitiateAuthenticationRequest) -> Wanted:
    del request
    return Wanted()


def initiate(
    smds: Smds, facts: Facts, request: InitiateAuthenticationRequest, *, now: datetime, entropy: Entropy
) -> Decision:
    del facts
    terms = settle_terms(smds.server, request)
    if isinstance(terms, Failure):
        return Decision(reply=terms)
    random = entropy.bytes(32)
    transaction_id, challenge = random[:16], random[16:]
    session = Session(
        transaction_id=transaction_id,
        expires_at=now + smds.session_lifetime,
        server_address=terms.server_address,
        server_challenge=challenge,
        ci_pk_id=terms.ci_pk_id,
    )
    reply = alone(sign_first_word(terms, request, transaction_id=transaction_id, server_challenge=challenge))
    return Decision(reply=reply, rows=(session,))


def authenticate_wanted(request: AuthenticateClientRequest) -> Wanted:
    response = request.authenticate_server_response.authenticate_response_ok
    eid = None
    if response is not None:
        try:
            eid = Certificate(response.euicc_certificate).names.serial_number
        except Malformed:
            eid = None  # refused with its own code when the chain is judged
    return Wanted(transaction_id=request.transaction_id, eid=eid)


def authenticate(
    smds: Smds, facts: Facts, request: AuthenticateClientRequest, *, now: datetime, entropy: Entropy
) -> Decision:
    del entropy
    session = facts.session
    unknown = Failure(TRANSACTION_UNKNOWN, "there is no such session, or it has ended")
    if session is None or now >= session.expires_at:
        return Decision(reply=unknown)
    response = request.authenticate_server_response.authenticate_response_ok
    if response is None:
        return Decision(reply=Failure(EUICC_SIGNATURE_INVALID, "the eUICC answered with an error"))
    if session.answered not in (None, response.euicc_signature1):
        return Decision(reply=unknown)
    euicc = alone(
        authenticate_euicc(
            smds.server,
            response,
            transaction_id=session.transaction_id,
            server_address=session.server_address,
            server_challenge=session.server_challenge,
            ci_pk_id=session.ci_pk_id,
            now=now,
        )
    )
    if isinstance(euicc, Failure):
        return Decision(reply=euicc)
    rows: tuple[Session, ...] = ()
    if session.answered is None:
        rows = (msgspec.structs.replace(session, version=session.version + 1, answered=euicc.signature1),)
    events = [event for event in facts.events if now < event.expires_at and event.eid == euicc.eid]
    if euicc.matching_id:
        events = [event for event in events if _is_named(event, euicc.matching_id)]
        if not events:
            return Decision(reply=Failure(EVENT_UNKNOWN, "no event has this id"), rows=rows)
    reply = AuthenticateClientOkEs11(
        transaction_id=session.transaction_id,
        event_entries=tuple(
            EventEntries(event_id=event.event_id, rsp_server_address=event.rsp_server_address)
            for event in events
        ),
    )
    happened = Happened(kind="events_retrieved", at=now, eid=str(euicc.eid), count=len(events))
    return Decision(reply=reply, rows=rows, happened=(happened,))


def _is_named(event: EventRecord, event_id: str) -> bool:
    """By its own id, or by that under which the root SM-DS knows it."""
    return event_id in (event.event_id, event.forwarded_id)
