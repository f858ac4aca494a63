"""What people and orders do with a code: reserve it, take it, give it back. Pure; imports keim.eim only."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from keim.eim.codes.rows import Code, CodeState
from keim.errors import Refused


def is_free(code: Code, now: datetime) -> bool:
    """Also when a reservation has run out."""
    if code.state is CodeState.FREE:
        return True
    return code.state is CodeState.RESERVED and code.until is not None and code.until <= now


def reserved(code: Code, now: datetime, *, eid: str | None, note: str, until: datetime | None) -> Code:
    if not is_free(code, now):
        raise _refused(code)
    if until is not None and until <= now:
        raise Refused("the reservation would end before it begins", code="catalogue.bad_code")
    return replace(
        code,
        state=CodeState.RESERVED,
        eid=eid,
        note=note,
        until=until,
        changed_at=now,
        version=code.version + 1,
    )


def taken(code: Code, now: datetime, *, eid: str, reference: str) -> Code:
    """By an order for a device; a reservation for that very device is no obstacle."""
    is_own = code.state is CodeState.RESERVED and code.eid == eid
    if not is_own and not is_free(code, now):
        raise _refused(code)
    return replace(
        code,
        state=CodeState.IN_USE,
        eid=eid,
        reference=reference,
        until=None,
        changed_at=now,
        version=code.version + 1,
    )


def used(code: Code, now: datetime, *, eid: str | None, note: str) -> Code:
    """Elsewhere, by a person: a code that was given to somebody by hand."""
    if code.state not in (CodeState.FREE, CodeState.RESERVED):
        raise _refused(code)
    return replace(
        code, state=CodeState.USED, eid=eid, note=note, until=None, changed_at=now, version=code.version + 1
    )


def given_back(code: Code, now: datetime) -> Code:
    """By a person, who knows that it is still good; one in use belongs to its order."""
    if code.state is CodeState.IN_USE:
        raise _refused(code)
    return replace(
        code,
        state=CodeState.FREE,
        eid=None,
        note="",
        until=None,
        reference="",
        failures=0,
        outcome="",
        changed_at=now,
        version=code.version + 1,
    )


def _refused(code: Code) -> Refused:
    state = code.state.value.replace("_", " ")
    return Refused(f"the code {code.id} is {state}", code="catalogue.code_in_use")
