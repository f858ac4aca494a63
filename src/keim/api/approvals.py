"""Four eyes: what the configuration names is done only when a second person has said so.

A noun whose requests may wait asks `is_needed`, keeps what was asked for in a state in which nothing
happens, together with what `held` gives, and tells `acts_on` what a decision does (`Held`). The decision, its
event and what it does are one transaction: no cut leaves a decision that nothing follows.
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
from keim.errors import KeimError, Refused, StoreFailed
from keim.io.api_store.approvals import statement_of
from keim.io.api_store.rows import Approval, ApprovalState, new_id
from keim.io.eim_store.store import Beside
from keim.io.store.engine import Conflict

Act = Callable[[Services, Approval, Beside], Awaitable[None]]
"""Does what was decided, and keeps the decision beside it in the same transaction, also where nothing is left
to do; `Conflict` when somebody was faster."""
TRIES: Final = 8
TOKEN: Final = "token:"
PERSON: Final = "person:"
LONGEST_LINE: Final = 64
"""How many makers of a token are looked at: the first one made the second, and so on."""

_log = logging.getLogger("keim.api")


class Held(msgspec.Struct, frozen=True):
    """What a decision does with one kind of waiting things."""

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
    return await _settle(services, approval, state, caller.actor, reason)


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


async def _settle(
    services: Services, approval: Approval, state: ApprovalState, actor: str, reason: str
) -> Approval:
    """Decided and done, or neither."""
    held = _HELD[approval.kind]
    act = held.release if state is ApprovalState.APPROVED else held.give_up
    decided = msgspec.structs.replace(
        approval,
        state=state,
        decided_by=actor,
        decided_at=services.clock.now(),
        reason=reason,
        version=approval.version + 1,
    )
    beside = Beside((statement_of(decided),), (_told(decided, actor),))
    for _ in range(TRIES):
        try:
            await act(services, decided, beside)
        except Conflict:
            known = await services.api.approvals.get(approval.id)
            if known is None or known.version != approval.version:
                raise Refused("somebody else decided just now", code="access.approval_decided") from None
        else:
            return decided
    raise StoreFailed("the same rows changed again and again", code="store.contended")


async def look_after(services: Services) -> None:
    """Now and then: what waited too long is given up."""
    for approval in await services.api.approvals.overdue(services.clock.now()):
        try:
            await _settle(services, approval, ApprovalState.EXPIRED, "", "nobody decided in time")
        except KeimError as error:  # the others must not wait for this one
            if error.code != "access.approval_decided":  # else: decided at the last moment
                _log.error(
                    json.dumps({"event": "approval_stuck", "approval": approval.id, "code": error.code})
                )


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
