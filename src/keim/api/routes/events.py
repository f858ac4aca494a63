"""`/v1/events`: what happened, as the tenant's log tells it; and the same as a feed that never ends.

The feed is Server-Sent Events: the id of each is the number of its leaf, so that `Last-Event-ID` goes on
without a gap.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from keim.api.access import Reader
from keim.api.context import Caller, Served, Services
from keim.api.models import Moment, Page, Shown, rfc3339
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position
from keim.api.shapes import EID_PATTERN, EXAMPLE_EID, TagsQuery
from keim.errors import Refused
from keim.io.eim_store.feed import EventFilter, Feed, Told

router = APIRouter(tags=["events"])

HEARTBEAT_S: Final = 15.0
LOOK_S: Final = 0.5
"""How often a feed looks for news."""
MOST_FEEDS: Final = 200
"""Of one process."""
_LOT: Final = 200
_open_feeds: set[object] = set()

KindsQuery = Annotated[
    list[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]] | None,
    Query(
        alias="type", max_length=50, description="Only these kinds of events.", examples=[["result_received"]]
    ),
]
DeviceQuery = Annotated[
    str | None, Query(pattern=EID_PATTERN, description="Only of this device.", examples=[EXAMPLE_EID])
]


class ShownEvent(Shown):
    id: int = Field(description="The number of its leaf in the log; without gaps.", examples=[4711])
    type: str = Field(examples=["result_received"])
    at: Moment
    device: str | None = Field(examples=[EXAMPLE_EID])
    actor: str = Field(description="Whoever made it happen; `device` and `eim` by themselves.")
    operation: str | None = Field(description="The id of the operation that it is about.")
    data: dict[str, Any] = Field(
        description="Its members, as in docs/reference/events.md.", examples=[{"state": "succeeded"}]
    )


@router.get("/events")
async def list_events(
    caller: Reader,
    services: Served,
    type_: KindsQuery = None,
    device: DeviceQuery = None,
    tag: TagsQuery = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ShownEvent]:
    """Events in the order in which they became true. A page may be short though there is more."""
    wanted = EventFilter(tuple(type_ or ()), device or "", tuple(dict.fromkeys(tag or ())))
    after = number_position(cursor, "events", wanted)
    feed = Feed(services.store.engine)
    found, position = await feed.after(caller.tenant, after, wanted, limit=limit)
    is_last = position >= await feed.size(caller.tenant) - 1 or (not found and position == after)
    items = [_shown(told) for told in found]
    return Page(items=items, next=None if is_last else cursor_of("events", position, wanted))


@router.get(
    "/events/feed",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def follow_events(
    caller: Reader,
    services: Served,
    type_: KindsQuery = None,
    device: DeviceQuery = None,
    tag: TagsQuery = None,
    after: Annotated[
        int | None,
        Query(
            ge=-1, lt=1 << 62, description="Begin behind this event; -1: with the first. Else: with the next."
        ),
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern="^[0-9]*$", description="Goes on behind it.")
    ] = None,
) -> StreamingResponse:
    """Events as they happen (Server-Sent Events), each once and in order; a comment keeps the line warm."""
    if len(_open_feeds) >= MOST_FEEDS:
        raise Refused(f"{MOST_FEEDS} feeds are open already", code="api.too_many_feeds")
    wanted = EventFilter(tuple(type_ or ()), device or "", tuple(dict.fromkeys(tag or ())))
    begin = int(last_event_id) if last_event_id else after
    if begin is None:
        begin = await Feed(services.store.engine).size(caller.tenant) - 1
    return StreamingResponse(
        _stream(services, caller, wanted, begin),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    services: Services, caller: Caller, wanted: EventFilter, position: int
) -> AsyncIterator[bytes]:
    feed, me = Feed(services.store.engine), object()
    _open_feeds.add(me)
    try:
        yield b"retry: 2000\n\n"
        said_at = time.monotonic()
        while not services.stopping.is_set():
            found, position = await feed.after(caller.tenant, position, wanted, limit=_LOT)
            for told in found:
                yield _as_sent(told)
            if found:
                said_at = time.monotonic()
                continue  # there may be more
            if time.monotonic() - said_at >= HEARTBEAT_S:
                yield b":\n\n"
                said_at = time.monotonic()
            await _rest(services)
    finally:
        _open_feeds.discard(me)


async def _rest(services: Services) -> None:
    try:
        await asyncio.wait_for(services.stopping.wait(), LOOK_S)
    except TimeoutError:
        return


def _shown(told: Told) -> ShownEvent:
    return ShownEvent(
        id=told.id,
        type=told.kind,
        at=told.at,
        device=told.eid,
        actor=told.actor,
        operation=told.operation,
        data=json.loads(told.detail),
    )


def _as_sent(told: Told) -> bytes:
    document = {
        "id": told.id,
        "type": told.kind,
        "at": rfc3339(told.at),
        "device": told.eid,
        "actor": told.actor,
        "operation": told.operation,
        "data": msgspec.Raw(told.detail),
    }
    data = msgspec.json.encode(document)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (told.id, told.kind.encode(), data)
