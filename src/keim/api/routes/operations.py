"""`/v1/operations`: commands for profiles, for one device or for many; what became of every operation."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.commands import MOST_COMMANDS, ProfileCommand, work_of_profiles
from keim.api.context import Caller, Served, Services
from keim.api.etags import IfNoneMatch, is_among
from keim.api.models import Asked, Page, Shown, with_examples
from keim.api.operation_views import (
    Outcome,
    ShownOperation,
    is_open,
    outcome_of,
    shown_operation,
    version_of,
)
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position
from keim.api.placing import Ordering, place
from keim.api.shapes import EXAMPLE_EID, EXAMPLE_ICCID, Reason, Reference, reading
from keim.eim.rows import State
from keim.errors import Refused
from keim.io.eim_store.reading import Placed

router = APIRouter(tags=["operations"])

COUNTED_IN_LISTS: Final = 10_000
"""Devices of an operation up to which a list tells how many are in which state."""
LONGEST_WAIT_S: Final = 60.0
_LOOK_S: Final = 0.25
"""How often a request that waits looks; a feed is cheaper for whoever waits for much."""


class NewOperation(Ordering):
    model_config = with_examples(
        {"eid": EXAMPLE_EID, "commands": [{"command": "enable", "iccid": EXAMPLE_ICCID}]},
        {
            "filter": {"tags": ["site=berlin"]},
            "commands": [{"command": "enable", "iccid": EXAMPLE_ICCID, "rollback": True}],
            "reason": "change of carrier",
            "not_before": "2050-01-01T02:00:00Z",
            "expires_at": "2050-01-08T02:00:00Z",
            "retry": {"times": 3, "after": ["failed", "rolled_back"], "pause_s": 3600},
        },
    )
    commands: list[ProfileCommand] = Field(
        min_length=1,
        max_length=MOST_COMMANDS,
        description="Carried out in this order, in one signed package.",
        examples=[[{"command": "enable", "iccid": "8944501112345678907"}]],
    )


class Cancelling(Asked):
    model_config = with_examples({"reason": "a mistake"})
    reason: Reason = ""


class Cancelled(Shown):
    cancelled: Literal["sure", "asked", "too_late"] = Field(
        description="`sure`: no device gets it any more. `asked`: a device has it, and may carry it out."
        " `too_late`: it had ended."
    )
    operation: ShownOperation


@router.post("/operations", status_code=202)
async def create_operation(
    asked: NewOperation, caller: Operator, services: Served, request: Request, response: Response
) -> ShownOperation:
    """Order commands for the profiles of one device, of a list, or of all that a filter means now."""
    work = work_of_profiles(asked.commands)
    kinds = [command.command for command in asked.commands]
    return await place(
        work, kinds, asked, caller=caller, services=services, request=request, response=response
    )


@router.get("/operations")
async def list_operations(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownOperation]:
    """All operations of every kind, the newest first."""
    before = number_position(cursor, "operations", first=0)
    rows = await reading(services).orders(caller.tenant, before=before or None, limit=limit + 1)
    items = [await shown_operation(row, services, most=COUNTED_IN_LISTS) for row in rows[:limit]]
    following = cursor_of("operations", rows[limit - 1].order.id) if len(rows) > limit else None
    return Page(items=items, next=following)


@router.get("/operations/{operation_id}", responses={304: {"description": "Unchanged since it was read."}})
async def show_operation(
    operation_id: Reference,
    caller: Reader,
    services: Served,
    response: Response,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for its end at most.")
    ] = 0,
    if_none_match: IfNoneMatch = None,
) -> ShownOperation:
    """One operation with its counts; with `wait` the answer comes when it has ended, or then."""
    until = time.monotonic() + wait
    while True:
        began = time.monotonic()
        shown = await shown_operation(await _own(operation_id, caller, services), services, response)
        if not is_open(shown) or time.monotonic() >= until or services.stopping.is_set():
            break
        await asyncio.sleep(max(_LOOK_S, 4 * (time.monotonic() - began)))
    if is_among(if_none_match, version_of(shown)):
        return Response(status_code=304)  # type: ignore[return-value]  # FastAPI passes a Response on as it is
    return shown


@router.get("/operations/{operation_id}/devices")
async def list_devices_of_operation(
    operation_id: Reference,
    caller: Reader,
    services: Served,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[Outcome]:
    """What became of an operation at each of its devices. A page may be short though there is more."""
    placed = await _own(operation_id, caller, services)
    now = services.clock.now()
    one = await reading(services).carried(placed, now)
    if one is not None:
        return Page(items=[outcome_of(one)] if state in (None, one.state) else [])
    after = number_position(cursor, "operation devices", operation_id, state)
    rows = await reading(services).devices_of(placed, now, after=after, limit=limit + 1)
    items = [outcome_of(carried) for _, carried in rows[:limit] if state in (None, carried.state)]
    following = None
    if len(rows) > limit:
        following = cursor_of("operation devices", rows[limit - 1][0], operation_id, state)
    return Page(items=items, next=following)


@router.post("/operations/{operation_id}/cancel")
async def cancel_operation(
    operation_id: Reference, asked: Cancelling, caller: Operator, services: Served, response: Response
) -> Cancelled:
    """Cancel: before delivery that is sure, afterwards it is asked; the answer says which."""
    placed = await _own(operation_id, caller, services)
    if not is_open(await shown_operation(placed, services)):
        return Cancelled(cancelled="too_late", operation=await shown_operation(placed, services, response))
    is_sure = await services.eim.cancel(operation_id, actor=caller.actor, reason=asked.reason)
    after = await shown_operation(await _own(operation_id, caller, services), services, response)
    return Cancelled(cancelled="sure" if is_sure else "asked", operation=after)


async def _own(reference: str, caller: Caller, services: Services) -> Placed:
    placed = await reading(services).order(reference, caller.tenant)
    if placed is None:
        raise Refused(f"there is no operation {reference!r}", code="eim.order_unknown")
    return placed
