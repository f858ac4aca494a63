"""`/v1/profiles`: where a profile is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from keim.api.access import Reader
from keim.api.context import Served
from keim.api.device_views import ShownProfile
from keim.api.models import Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position
from keim.api.shapes import EXAMPLE_EID, EXAMPLE_ICCID, listing
from keim.eim.filters import DeviceFilter
from keim.eim.rows import Knowledge
from keim.eim.twin_views import profile_view
from keim.errors import Refused
from keim.ids import Iccid

router = APIRouter(tags=["profiles"])

IccidPath = Annotated[str, Path(pattern="^[0-9]{18,20}$", examples=[EXAMPLE_ICCID])]


class Place(Shown):
    """A device that a profile is on, as believed."""

    eid: str = Field(examples=[EXAMPLE_EID])
    profile: ShownProfile
    profiles_listed_at: Moment | None
    is_stale: bool


@router.get("/profiles/{iccid}/devices")
async def list_devices_with_profile(
    iccid: IccidPath,
    caller: Reader,
    services: Served,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[Place]:
    """Where a profile is, as believed. More than one device: it was moved, or somebody has copied it."""
    wanted = DeviceFilter(iccid=str(Iccid(iccid)))
    after = number_position(cursor, "profile", wanted)
    page = await listing(services).page(caller.tenant, wanted, after=after, limit=limit)
    items = []
    for listed in page.items:
        known = listed.knowledge or Knowledge(eid=listed.device.eid)
        for image in known.profiles:
            if image.iccid == wanted.iccid:
                place = Place(
                    eid=listed.device.eid,
                    profile=ShownProfile.model_validate(profile_view(image)),
                    profiles_listed_at=known.profiles_at,
                    is_stale=listed.device.is_stale,
                )
                items.append(place)
    if not items and cursor is None:
        raise Refused(f"no device here has the profile {iccid}", code="eim.profile_not_found")
    return Page(items=items, next=None if page.after is None else cursor_of("profile", page.after, wanted))
