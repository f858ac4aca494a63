"""Words that several nouns share: EIDs, tags, filters of devices, and how a device is found for its tenant.

Imports no routes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import Path, Query
from pydantic import Field

from keim.api.context import Caller, Services
from keim.api.models import Asked, Moment, Shown
from keim.eim.filters import MOST_TAGS, DeviceFilter
from keim.eim.rows import Device, DeviceState
from keim.errors import Refused
from keim.io.eim_store.listing import Listing
from keim.io.eim_store.reading import Reading

EXAMPLE_EID: Final = "89044045116727494800000004479366"
EXAMPLE_ICCID: Final = "8944501112345678907"
EID_PATTERN: Final = "^[0-9]{32}$"
EidPath = Annotated[str, Path(pattern=EID_PATTERN, examples=[EXAMPLE_EID])]
EidText = Annotated[str, Field(pattern=EID_PATTERN, examples=[EXAMPLE_EID])]
IccidText = Annotated[
    str, Field(pattern="^[0-9]{18,20}$", examples=[EXAMPLE_ICCID], description="In human order.")
]
Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:/@+=-]+$", examples=["site=berlin"])]
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["change of carrier"])]
Reference = Annotated[
    str,
    Path(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$", examples=["5f0c1d2e3a4b5c6d7e8f9a0b"]
    ),
]

TagsQuery = Annotated[
    list[Tag] | None,
    Query(alias="tag", max_length=MOST_TAGS, description="Has it; several: has all of them."),
]
StateQuery = Annotated[DeviceState | None, Query(description="`active`, `quarantined`, `archived`.")]
PrefixQuery = Annotated[
    str, Query(pattern="^[0-9]{0,32}$", description="How its EID begins.", examples=["8904"])
]
IccidQuery = Annotated[
    str,
    Query(pattern="^([0-9]{18,20})?$", description="This profile is installed.", examples=[EXAMPLE_ICCID]),
]
AlarmQuery = Annotated[bool | None, Query(description="Whether a person should look at it.")]
UnseenQuery = Annotated[Moment | None, Query(description="It has not called since then.")]


class AskedFilter(Asked):
    """Devices of which all of this holds; empty: all."""

    tags: list[Tag] = Field(default=[], max_length=MOST_TAGS)
    state: DeviceState | None = None
    eid_prefix: str = Field(default="", pattern="^[0-9]{0,32}$")
    iccid: str = Field(default="", pattern="^([0-9]{18,20})?$")
    has_alarm: bool | None = None
    not_seen_since: Moment | None = None

    def filter(self) -> DeviceFilter:
        return DeviceFilter(
            tags=tuple(self.tags),
            state=self.state,
            eid_prefix=self.eid_prefix,
            iccid=self.iccid,
            has_alarm=self.has_alarm,
            not_seen_since=self.not_seen_since,
        ).checked()


class ShownFilter(Shown):
    tags: list[str]
    state: DeviceState | None
    eid_prefix: str
    iccid: str
    has_alarm: bool | None
    not_seen_since: Moment | None


def reading(services: Services) -> Reading:
    return Reading(services.store)


def listing(services: Services) -> Listing:
    return Listing(services.store.engine)


async def device_of(eid: str, caller: Caller, services: Services) -> Device:
    """The caller's own; another tenant's is as unknown as one that nobody has."""
    device = await services.store.device(eid)
    if device is None or device.tenant != caller.tenant:
        raise Refused(f"{eid} is not known here", code="eim.device_unknown")
    return device


def plain(value: object) -> Any:  # Any: JSON, as msgspec makes it of whatever struct
    return msgspec.to_builtins(value)
