"""Four eyes: what the configuration names is done only when a second person has said so.

A noun whose requests may wait asks `is_needed`, keeps what was asked for in a state in which nothing
happens, together with what `held` gives, and tells `acts_on` what to do after the decision (`Held`). A
decision is written with its event first and acted on afterwards: again after a restart, so acting twice must
do no harm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final

import msgspec

from keim.api.context import Caller, Services
from keim.eim.events import ApprovalChanged
from keim.errors import KeimError, Refused
from keim.io.api_store.approvals import statement_of
from keim.io.api_store.rows import Approval, ApprovalState, new_id
from keim.io.eim_store.store import Beside
from keim.io.store.engine import Conflict

Act = Callable[[Services, Approval], Awaitable[None]]
TOKEN: Final = "token:"
PERSON: Final = "person:"
LONGEST_LINE: Final = 64
"""How many makers of a token are looked at: the first one made the second, and so on."""

_log = logging.getLogger("keim.api")


class Held(msgspec.Struct, frozen=True):
    """What one kind of waiting things does when it is decided."""

    release: Act
    give_up: Act
    """After a refusal, a withdrawal or in time."""


_HELD: Final[dict[str, Held]] = {}


def acts_on(kind: str, held: Held) -> None:
    """Told once by each noun, when it is imported."""
    _HELD[kind] = held


def is_needed(services: Services, kinds: Iterable[str], *, devices: int = 1) -> bool:
    """`kinds` are the names of what would be done (`delete`, `enable`, ...), to how many devices."""
    rules = services.settings.approvals
    return bool(set(kinds) & set(rules.kinds)) or 0 < rules.devices < devices


def held(services: Services, caller: Caller, *, kind: str, subject: str, summary: str) -> Beside:
    """The approval, to be kept in the transaction that keeps what waits for it."""
    approval = _approval(services, caller, kind, subject, summary)
    return Beside((statement_of(approval),), (_told(approval, caller.actor),))


async def hold(services: Services, caller: Caller, *, kind: str, subject: str, summary: str) -> Approval:
    """The approval by itself, for what is kept elsewhere and already waits; the one that is there already."""
    known = await services.api.approvals.waiting_for(caller.tenant, kind, subject)
    if known is not None:
        return known
    approval = _approval(services, caller, kind, subject, summary)
    await services.api.approvals.put(approval, [_told(approval, caller.actor)])
    return approval


def _approval(services: Services, caller: Caller, kind: str, subject: str, summary: str) -> Approval:
    now = services.clock.now()
    return Approval(
        id=new_id(services.entropy, now),
        tenant=caller.tenant,
        kind=kind,
        subject=subject,
        summary=summary,
        asked_by=caller.actor,
        asked_at=now,
        expires_at=now + timedelta(hours=services.settings.approvals.hours),
    )


async def decide(
    services: Services, caller: Caller, approval: Approval, state: ApprovalState, reason: str
) -> Approval:
    """Approved or refused by another person, or withdrawn by whoever asked."""
    now = services.clock.now()
    if approval.state is not ApprovalState.WAITING:
        raise Refused(f"it was {approval.state.value} before", code="access.approval_decided")
    if approval.expires_at <= now:
        raise Refused("it has waited too long", code="access.approval_decided")
    if state is not ApprovalState.WITHDRAWN and await _is_asker(services, caller, approval.asked_by):
        raise Refused("whoever asked cannot decide", code="access.own_approval")
    if state is ApprovalState.WITHDRAWN and caller.actor != approval.asked_by:
        raise Refused("only whoever asked can withdraw", code="access.own_approval")
    try:
        decided = await _write(services, approval, state, caller.actor, reason)
    except Conflict:
        raise Refused("somebody else decided just now", code="access.approval_decided") from None
    return await _act(services, decided)


async def _is_asker(services: Services, caller: Caller, asked_by: str) -> bool:
    """Whoever asked, or came in by a token that they made; and one person behind two tokens is one person."""
    deciding = await _line(services, caller.actor)
    if asked_by in deciding:
        return True
    people = {actor for actor in await _line(services, asked_by) if actor.startswith(PERSON)}
    return not people.isdisjoint(deciding)


async def _line(services: Services, actor: str) -> list[str]:
    """The actor, who made their token, who made theirs, and so on."""
    line = [actor]
    while line[-1].startswith(TOKEN) and len(line) <= LONGEST_LINE:
        token = await services.api.token(line[-1].removeprefix(TOKEN))
        if token is None or not token.created_by:
            break
        line.append(token.created_by)
    return line


async def _write(
    services: Services, approval: Approval, state: ApprovalState, actor: str, reason: str
) -> Approval:
    now = services.clock.now()
    decided = msgspec.structs.replace(
        approval,
        state=state,
        decided_by=actor,
        decided_at=now,
        reason=reason,
        version=approval.version + 1,
    )
    await services.api.approvals.put(decided, [_told(decided, actor)])
    return decided


async def _act(services: Services, decided: Approval) -> Approval:
    held = _HELD[decided.kind]
    act = held.release if decided.state is ApprovalState.APPROVED else held.give_up
    await act(services, decided)
    done = msgspec.structs.replace(decided, is_done=True, version=decided.version + 1)
    try:
        await services.api.approvals.put(done)
    except Conflict:
        return done  # another process acted on it too, which does no harm
    return done


async def look_after(services: Services) -> None:
    """Now and then: what waited too long is given up; what was decided and not acted on is acted on."""
    for approval in await services.api.approvals.overdue(services.clock.now()):
        try:
            await _write(services, approval, ApprovalState.EXPIRED, "", "nobody decided in time")
        except Conflict:
            continue  # decided at the last moment
    for decided in await services.api.approvals.undone():
        try:
            await _act(services, decided)
        except KeimError as error:  # the others must not wait for this one
            _log.error(json.dumps({"event": "approval_stuck", "approval": decided.id, "code": error.code}))


def _told(approval: Approval, actor: str) -> ApprovalChanged:
    return ApprovalChanged(
        at=approval.decided_at or approval.asked_at,
        actor=actor,
        reason=approval.reason,
        approval=approval.id,
        of=approval.kind,
        subject=approval.subject,
        state=approval.state.value,
    )
