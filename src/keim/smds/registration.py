"""ES12 (and ES15, at a root): RegisterEvent and DeleteEvent (procedures §13.1). Pure; floor 0 only."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.errors import Refused
from keim.ids import Eid
from keim.messages.es12 import DeleteEvent, Es12Request, EventOk, RegisterEvent
from keim.messages.execution_status import (
    EVENT_IN_USE,
    EVENT_NOT_ALLOWED,
    EVENT_UNKNOWN,
    FORMAT_INVALID,
    Failure,
)
from keim.seams import Entropy
from keim.smds.rows import Decision, Errand, ErrandKind, EventRecord, Facts, Happened, Removal, Wanted
from keim.smds.settings import Smds


class Es12Call(msgspec.Struct, frozen=True):
    """A function, and who calls it: the identity that mutual TLS has proved."""

    caller: str
    request: Es12Request


def wanted(call: Es12Call) -> Wanted:
    return Wanted(eid=call.request.eid)


def decide(smds: Smds, facts: Facts, call: Es12Call, *, now: datetime, entropy: Entropy) -> Decision:
    try:
        Eid(call.request.eid)
    except Refused as error:
        return Decision(reply=Failure(FORMAT_INVALID, str(error)))
    known = next((event for event in facts.events if event.event_id == call.request.event_id), None)
    match call.request:
        case RegisterEvent() as request:
            return _register(smds, request, call.caller, known, now=now, entropy=entropy)
        case DeleteEvent() as request:
            return _delete(smds, request, call.caller, known, now=now)


def _register(
    smds: Smds,
    request: RegisterEvent,
    caller: str,
    known: EventRecord | None,
    *,
    now: datetime,
    entropy: Entropy,
) -> Decision:
    if known is not None and now < known.expires_at:
        return Decision(reply=Failure(EVENT_IN_USE, "this event is registered", request.event_id))
    forwarded_id = None
    errands: tuple[Errand, ...] = ()
    if request.forwarding_indicator and smds.root is not None:
        forwarded_id = entropy.bytes(16).hex().upper()
        own = RegisterEvent(
            eid=request.eid,
            rsp_server_address=smds.address,
            event_id=forwarded_id,
            forwarding_indicator=False,
        )
        errands = (Errand(kind=ErrandKind.FORWARD, body=msgspec.json.encode(own), at=now),)
    record = EventRecord(
        eid=request.eid,
        event_id=request.event_id,
        rsp_server_address=request.rsp_server_address,
        owner=caller,
        registered_at=now,
        expires_at=now + smds.event_lifetime,
        forwarded_id=forwarded_id,
    )
    rows: tuple[EventRecord | Removal, ...] = (record,)
    if known is not None:
        rows = (Removal(known.eid, known.event_id), record)
    happened = Happened(
        kind="event_registered", at=now, eid=request.eid, event_id=request.event_id, party=caller
    )
    return Decision(reply=EventOk(), rows=rows, happened=(happened,), errands=errands)


def _delete(
    smds: Smds, request: DeleteEvent, caller: str, known: EventRecord | None, *, now: datetime
) -> Decision:
    if known is None:
        return Decision(reply=Failure(EVENT_UNKNOWN, "no such event", request.event_id))
    if known.owner != caller:
        return Decision(reply=Failure(EVENT_NOT_ALLOWED, "another party's event", request.event_id))
    errands: tuple[Errand, ...] = ()
    if known.forwarded_id is not None and smds.root is not None:
        own = DeleteEvent(eid=known.eid, event_id=known.forwarded_id)
        errands = (Errand(kind=ErrandKind.WITHDRAW, body=msgspec.json.encode(own), at=now),)
    happened = Happened(kind="event_deleted", at=now, eid=known.eid, event_id=known.event_id, party=caller)
    return Decision(
        reply=EventOk(),
        rows=(Removal(known.eid, known.event_id),),
        happened=(happened,),
        errands=errands,
    )
