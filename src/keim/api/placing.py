"""From a request to an operation: for whom, on which terms, and whether a second person must approve it.

What every noun that makes operations shares: operations, downloads, data requests, eCOs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Request, Response
from pydantic import Field

from keim.api import approvals
from keim.api.context import IDEMPOTENCY_KEY, Caller, Services
from keim.api.idempotency import reference_of
from keim.api.models import Asked, Moment
from keim.api.operation_views import ShownOperation, shown_operation
from keim.api.shapes import AskedFilter, EidText, Reason, device_of, listing, reading
from keim.eim import orders
from keim.eim.asks import words_of
from keim.eim.filters import DeviceFilter
from keim.eim.orders import LONGEST_PAUSE_S, MOST_ATTEMPTS
from keim.eim.rows import DeviceState, Order, Retry
from keim.eim.work import Work
from keim.errors import Refused
from keim.ids import Eid
from keim.io.api_store.rows import Approval
from keim.io.eim_store.store import NOTHING_BESIDE, Beside

KIND: Final = "operation"
MOST_LISTED: Final = 10_000
"""EIDs in one request; more are named by a filter."""


class AskedRetry(Asked):
    times: int = Field(ge=1, le=MOST_ATTEMPTS, description="Attempts in all.")
    after: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=["failed"],
        min_length=1,
        max_length=20,
        description="`failed`, `rolled_back`, or an outcome as it is told.",
        examples=[["failed", "rolled_back"]],
    )
    pause_s: float = Field(default=0, ge=0, le=LONGEST_PAUSE_S)


class Ordering(Asked):
    """Whom it is for (one of `eid`, `eids`, `filter`, `saved_filter`), and on which terms."""

    eid: EidText | None = None
    eids: list[EidText] | None = Field(default=None, min_length=1, max_length=MOST_LISTED)
    filter: AskedFilter | None = None
    saved_filter: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")] | None = None
    reason: Reason = ""
    not_before: Moment | None = Field(default=None, description="It is planned until then.")
    expires_at: Moment | None = Field(default=None, description="A device that calls later does not get it.")
    supersedes: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The id of an operation for the same devices whose place it takes."
    )
    retry: AskedRetry | None = None


async def place(
    work: Work,
    kinds: Sequence[str],
    asked: Ordering,
    *,
    caller: Caller,
    services: Services,
    request: Request,
    response: Response,
) -> ShownOperation:
    """Places the order; `kinds` are the names that an approval may be needed for. Answers 202."""
    named = [asked.eid is not None, asked.eids is not None, asked.filter is not None]
    if sum((*named, asked.saved_filter is not None)) != 1:
        raise Refused("give one of `eid`, `eids`, `filter`, `saved_filter`", code="api.invalid_request")
    reference = _reference(caller, services, request)
    if asked.eid is not None:
        order = await _for_one(work, kinds, asked, reference, caller=caller, services=services)
    else:
        order = await _for_many(work, kinds, asked, reference, caller=caller, services=services)
    placed = await reading(services).order(order.reference, caller.tenant)
    assert placed is not None  # it has just been placed
    response.headers["Location"] = f"/v1/operations/{order.reference}"
    return await shown_operation(placed, services, response)


def _reference(caller: Caller, services: Services, request: Request) -> str:
    """Under an `Idempotency-Key` always the same, so that a cut between order and answer orders once."""
    key: str | None = request.scope["state"].get(IDEMPOTENCY_KEY)
    return services.entropy.bytes(12).hex() if key is None else reference_of(caller.tenant, key)


async def _for_one(
    work: Work, kinds: Sequence[str], asked: Ordering, reference: str, *, caller: Caller, services: Services
) -> Order:
    assert asked.eid is not None  # the caller has looked
    device = await device_of(asked.eid, caller, services)
    if device.state is not DeviceState.ACTIVE:
        raise Refused(f"{device.eid} is {device.state.value}", code="eim.device_not_active")
    needs = approvals.is_needed(services, kinds)
    terms = _terms(asked, caller, needs_approval=needs)
    beside = _approval(work, f"for {device.eid}", reference, caller, services) if needs else NOTHING_BESIDE
    return await services.eim.order(Eid(device.eid), work, reference=reference, terms=terms, beside=beside)


async def _for_many(
    work: Work, kinds: Sequence[str], asked: Ordering, reference: str, *, caller: Caller, services: Services
) -> Order:
    known = await services.store.order(reference)
    if known is not None and known[0].tenant == caller.tenant:
        return known[0]  # the request under this key was cut off behind its order
    # Whether it needs an approval may depend on how many it is for, which is known when it is frozen.
    wanted = await _filter(asked, caller, services)
    eids = None if asked.eids is None else await _known_eids(asked.eids, caller, services)
    lots = None if wanted is None else listing(services).ordinals(caller.tenant, wanted)
    await services.store.thaw(reference)  # of a request under the same key that was cut off before its order
    count = await services.store.freeze(reference, eids, tenant=caller.tenant, lots=lots)
    if not count:
        raise Refused("no active device is meant", code="eim.no_devices")
    needs = approvals.is_needed(services, kinds, devices=count)
    whom = f"for {count} devices"
    beside = _approval(work, whom, reference, caller, services) if needs else NOTHING_BESIDE
    return await services.eim.order_for_frozen(
        work,
        reference=reference,
        devices=count,
        tenant=caller.tenant,
        terms=_terms(asked, caller, needs_approval=needs),
        beside=beside,
    )


async def _filter(asked: Ordering, caller: Caller, services: Services) -> DeviceFilter | None:
    if asked.filter is not None:
        return asked.filter.filter()
    if asked.saved_filter is None:
        return None
    saved = await services.filters.get(caller.tenant, asked.saved_filter)
    if saved is None:
        raise Refused(f"there is no filter {asked.saved_filter!r}", code="eim.filter_not_found")
    return saved.filter


async def _known_eids(eids: list[str], caller: Caller, services: Services) -> list[str]:
    chosen = list(dict.fromkeys(eids))
    active = await listing(services).active(caller.tenant, chosen)
    missing = [eid for eid in chosen if eid not in active]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise Refused(
            f"not known here or not active: {', '.join(missing[:3])}{more}", code="eim.device_unknown"
        )
    return chosen


def _terms(asked: Ordering, caller: Caller, *, needs_approval: bool) -> orders.Terms:
    retry = asked.retry
    return orders.Terms(
        actor=caller.actor,
        reason=asked.reason,
        not_before=asked.not_before,
        needs_approval=needs_approval,
        expires_at=asked.expires_at,
        supersedes=asked.supersedes or "",
        retry=None
        if retry is None
        else Retry(times=retry.times, after=tuple(retry.after), pause_s=retry.pause_s),
    )


# four eyes


def _approval(work: Work, whom: str, reference: str, caller: Caller, services: Services) -> Beside:
    summary = f"{', '.join(words_of(work))} {whom}"[:500]
    return approvals.held(services, caller, kind=KIND, subject=reference, summary=summary)


async def _release(services: Services, approval: Approval, beside: Beside) -> None:
    actor, reason = approval.decided_by, approval.reason
    try:
        await services.eim.approve(approval.subject, actor=actor, reason=reason, beside=beside)
    except Refused as refused:
        if refused.code not in ("eim.order_not_waiting", "eim.order_unknown"):
            raise
        # It was cancelled or has expired meanwhile, and there is nothing to release.
        await services.store.keep(beside, tenant=approval.tenant)


async def _give_up(services: Services, approval: Approval, beside: Beside) -> None:
    found = await services.store.order(approval.subject)
    if found is None or not found[0].needs_approval:
        await services.store.keep(beside, tenant=approval.tenant)
        return
    reason = f"{approval.state.value}: {approval.reason}".removesuffix(": ")
    await services.eim.cancel(approval.subject, actor=approval.decided_by, reason=reason, beside=beside)


approvals.acts_on(KIND, approvals.Held(_release, _give_up))
