"""`/v1/filters`: filters of devices under a name, for lists and for operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from msgspec import structs
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.context import Caller, Served, Services
from keim.api.etags import IfMatch, check_match, etag_of
from keim.api.models import Asked, Moment, Page, Shown, with_examples
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.api.shapes import AskedFilter, ShownFilter
from keim.errors import Refused
from keim.io.filter_store import SavedFilter
from keim.io.store.engine import Conflict

router = APIRouter(tags=["filters"])

FilterName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9._-]{0,62}$", examples=["berlin-pilot"])]


class ChangedFilter(Asked):
    filter: AskedFilter = Field(examples=[{"tags": ["site=berlin"]}])
    description: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class NewFilter(ChangedFilter):
    model_config = with_examples({"name": "berlin-pilot", "filter": {"tags": ["site=berlin", "pilot"]}})
    name: str = Field(pattern="^[a-z0-9][a-z0-9._-]{0,62}$", examples=["berlin-pilot"])


class ShownSavedFilter(Shown):
    name: str
    filter: ShownFilter
    description: str
    version: int
    changed_at: Moment
    changed_by: str


@router.get("/filters")
async def list_filters(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownSavedFilter]:
    """The saved filters of your tenant, by name."""
    after = text_position(cursor, "filters")
    rows = await services.filters.page(caller.tenant, after=after, limit=limit + 1)
    items = [ShownSavedFilter.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("filters", items[-1].name) if len(rows) > limit else None)


@router.get("/filters/{filter_name}")
async def show_filter(
    filter_name: FilterName, caller: Reader, services: Served, response: Response
) -> ShownSavedFilter:
    """One saved filter, with its ETag."""
    return _answered(await _own(filter_name, caller, services), response)


@router.post("/filters", status_code=201)
async def create_filter(
    asked: NewFilter, caller: Operator, services: Served, response: Response
) -> ShownSavedFilter:
    """Save a filter under a name."""
    saved = SavedFilter(
        tenant=caller.tenant,
        name=asked.name,
        filter=asked.filter.filter(),
        description=asked.description,
        changed_at=services.clock.now(),
        changed_by=caller.actor,
    )
    try:
        await services.filters.put(saved)
    except Conflict:
        raise Refused(f"there is a filter {asked.name!r} already", code="eim.filter_exists") from None
    response.headers["Location"] = f"/v1/filters/{saved.name}"
    return _answered(saved, response)


@router.put("/filters/{filter_name}")
async def change_filter(
    filter_name: FilterName,
    asked: ChangedFilter,
    caller: Operator,
    services: Served,
    response: Response,
    if_match: IfMatch = None,
) -> ShownSavedFilter:
    """Put another filter in its place. Operations that were placed with it keep the devices they have."""
    known = await _own(filter_name, caller, services)
    check_match(if_match, known.version)
    saved = structs.replace(
        known,
        filter=asked.filter.filter(),
        description=asked.description,
        version=known.version + 1,
        changed_at=services.clock.now(),
        changed_by=caller.actor,
    )
    try:
        await services.filters.put(saved)
    except Conflict:
        raise Refused("somebody else changed it just now", code="api.version_mismatch") from None
    return _answered(saved, response)


@router.delete("/filters/{filter_name}", status_code=204)
async def remove_filter(filter_name: FilterName, caller: Operator, services: Served) -> Response:
    """Forget a saved filter."""
    await _own(filter_name, caller, services)
    await services.filters.remove(caller.tenant, filter_name)
    return Response(status_code=204)


async def _own(name: str, caller: Caller, services: Services) -> SavedFilter:
    saved = await services.filters.get(caller.tenant, name)
    if saved is None:
        raise Refused(f"there is no filter {name!r}", code="eim.filter_not_found")
    return saved


def _answered(saved: SavedFilter, response: Response) -> ShownSavedFilter:
    response.headers["ETag"] = etag_of(saved.version)
    return ShownSavedFilter.model_validate(saved)
