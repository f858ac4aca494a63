"""`/v1/devices`: registered, searched, changed, archived; the twin of each, now and at any past instant."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.context import Served, Services
from keim.api.device_views import DeviceLine, ShownTwin, line_of
from keim.api.etags import IfMatch, IfNoneMatch, check_match, etag_of, is_among
from keim.api.models import Asked, Moment, Page, Shown, with_examples
from keim.api.operation_views import Outcome, outcome_of
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position
from keim.api.shapes import (
    EXAMPLE_EID,
    AlarmQuery,
    EidPath,
    EidText,
    IccidQuery,
    PrefixQuery,
    Reason,
    StateQuery,
    Tag,
    TagsQuery,
    UnseenQuery,
    device_of,
    listing,
    reading,
)
from keim.eim.filters import DeviceFilter
from keim.eim.orders import MOST_TAGS
from keim.eim.rows import Device, DeviceState, Switches
from keim.eim.settings import COUNTER_MAXIMUM
from keim.eim.upcoming import upcoming
from keim.errors import Refused
from keim.ids import Eid
from keim.io.eim_store.listing import Listed

router = APIRouter(tags=["devices"])

HexOctets = Annotated[str, Field(pattern="^([0-9A-Fa-f]{2})+$", max_length=20_000)]


class Certificates(Asked):
    """CERT.EUICC and CERT.EUM in DER, hexadecimal: then results are proved from the first one on."""

    euicc: HexOctets
    eum: HexOctets


class AskedSwitches(Asked):
    """What a lab needs; absent members are as usual."""

    acknowledges: bool = Field(default=True, description="False: results are never acknowledged.")
    verifies: bool = Field(
        default=True, description="False: results count without their signature. Marked in the audit."
    )
    asks: bool = Field(default=True, description="False: nothing is sent that was not ordered.")
    accepts_der: bool = Field(default=False, description="Signatures as a DER SEQUENCE.")
    nests_key_data: bool = Field(default=False, description="Key data of addEim as a complete SEQUENCE.")
    is_v1_0: bool = Field(default=False, description="ESipa in the forms of SGP.32 v1.0.")
    covers_token: bool = Field(
        default=True, description="False: signatures cover no association token, as in v1.0."
    )
    offers: int = Field(default=200, ge=1, le=100_000, description="How often one package is handed out.")
    offers_on_connection: int = Field(default=20, ge=1, le=100_000, description="On one connection.")


class NewDevice(Asked):
    model_config = with_examples({"eid": EXAMPLE_EID, "token": 5, "tags": ["site=berlin"]})
    eid: EidText
    token: int | None = Field(default=None, ge=0, lt=1 << 62, description="Association token, if known.")
    counter: int = Field(default=0, ge=0, le=COUNTER_MAXIMUM, description="The last one that was used.")
    tags: list[Tag] = Field(default=[], max_length=MOST_TAGS)
    certificates: Certificates | None = None
    signing_key: str = Field(default="", max_length=100, description="Of this eIM; empty: the oldest.")


class ChangedDevice(Asked):
    """What is absent stays as it is."""

    model_config = with_examples({"add_tags": ["pilot"], "reason": "first wave"})
    state: Literal["active", "archived"] | None = Field(
        default=None, description="`active` lets a device out of quarantine, or back in."
    )
    tags: list[Tag] | None = Field(default=None, max_length=MOST_TAGS, description="All that it has then.")
    add_tags: list[Tag] = Field(default=[], max_length=MOST_TAGS)
    remove_tags: list[Tag] = Field(default=[], max_length=MOST_TAGS)
    switches: AskedSwitches | None = None
    clear_alarm: bool = Field(default=False, description="A person has looked at it.")
    reason: Reason = ""


class Next(Shown):
    """What the device will get when it calls next, as things stand now."""

    why: str = Field(
        examples=["order"],
        description="`outstanding` (the same once more), `of its own` (the eIM wants to know something),"
        " `order`; or why it gets nothing: `nothing`, `pause`, `quarantined`, `archived`, `key missing`,"
        " `counter used up`.",
    )
    operation: str | None = Field(description="The operation's id.")
    chore: str | None
    kind: str | None
    counter: int | None
    attempt: int | None
    not_before: Moment | None


@router.get("/devices")
async def list_devices(
    caller: Reader,
    services: Served,
    tag: TagsQuery = None,
    state: StateQuery = None,
    eid_prefix: PrefixQuery = "",
    iccid: IccidQuery = "",
    has_alarm: AlarmQuery = None,
    not_seen_since: UnseenQuery = None,
    saved_filter: Annotated[
        str | None, Query(pattern="^[a-z0-9][a-z0-9._-]{0,62}$", description="Instead of the others.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[DeviceLine]:
    """Devices in the order in which they came. A page may be short though there is more."""
    wanted = DeviceFilter(
        tags=tuple(tag or ()),
        state=state,
        eid_prefix=eid_prefix,
        iccid=iccid,
        has_alarm=has_alarm,
        not_seen_since=not_seen_since,
    ).checked()
    if saved_filter is not None:
        saved = await services.filters.get(caller.tenant, saved_filter)
        if saved is None:
            raise Refused(f"there is no filter {saved_filter!r}", code="eim.filter_not_found")
        if not wanted.is_everything:
            raise Refused("give either a saved filter or others", code="api.invalid_request")
        wanted = saved.filter
    after = number_position(cursor, "devices", wanted)
    page = await listing(services).page(caller.tenant, wanted, after=after, limit=limit)
    now = services.clock.now()
    items = [line_of(listed, now) for listed in page.items]
    return Page(items=items, next=None if page.after is None else cursor_of("devices", page.after, wanted))


@router.post("/devices", status_code=201)
async def create_device(
    asked: NewDevice, caller: Operator, services: Served, response: Response
) -> DeviceLine:
    """Register a device. Many at once: `/v1/imports/devices`."""
    given = asked.certificates
    device = await services.eim.enrol(
        Eid(asked.eid),
        token=asked.token,
        counter=asked.counter,
        certificates=None if given is None else (bytes.fromhex(given.euicc), bytes.fromhex(given.eum)),
        signer=asked.signing_key,
        tenant=caller.tenant,
        tags=tuple(asked.tags),
        actor=caller.actor,
    )
    response.headers["Location"] = f"/v1/devices/{device.eid}"
    return await _line(device, services, response)


@router.get("/devices/{eid}", responses={304: {"description": "Unchanged since it was read."}})
async def show_device(
    eid: EidPath,
    caller: Reader,
    services: Served,
    response: Response,
    at: Annotated[Moment | None, Query(description="As it was at that moment, by its events.")] = None,
    if_none_match: IfNoneMatch = None,
) -> ShownTwin:
    """The twin of a device: what is asked of it, what is believed, what its eUICC has proved."""
    device = await device_of(eid, caller, services)
    eim_id, now = services.eim.eim.eim_id, services.clock.now()
    if at is not None and at < now:
        twin = await reading(services).twin_at(device, eim_id, at)
        if twin is None:
            raise Refused(f"{eid} was not known here at that moment", code="eim.device_unknown")
        return ShownTwin.model_validate(twin)
    if is_among(if_none_match, device.version):
        return Response(status_code=304)  # type: ignore[return-value]  # FastAPI passes a Response on as it is
    response.headers["ETag"] = etag_of(device.version)
    return ShownTwin.model_validate(await reading(services).twin(device, eim_id, now))


@router.patch("/devices/{eid}")
async def change_device(
    eid: EidPath,
    asked: ChangedDevice,
    caller: Operator,
    services: Served,
    response: Response,
    if_match: IfMatch = None,
) -> DeviceLine:
    """Let a device in or archive it, change tags and switches, mark its alarm as seen."""
    device = await device_of(eid, caller, services)
    check_match(if_match, device.version)
    switches = asked.switches
    changed = await services.eim.change_device(
        Eid(eid),
        actor=caller.actor,
        reason=asked.reason,
        state=None if asked.state is None else DeviceState(asked.state),
        tags=await _tags(device, asked, services),
        switches=None if switches is None else Switches(**switches.model_dump()),
        clears_alarm=asked.clear_alarm,
        version=device.version if if_match is not None or asked.add_tags or asked.remove_tags else None,
    )
    return await _line(changed, services, response)


async def _tags(device: Device, asked: ChangedDevice, services: Services) -> tuple[str, ...] | None:
    if asked.tags is None and not asked.add_tags and not asked.remove_tags:
        return None
    tags = asked.tags
    if tags is None:
        tags = list(await reading(services).tags(await reading(services).ordinal(device.eid)))
    return tuple({*tags, *asked.add_tags} - set(asked.remove_tags))


@router.get("/devices/{eid}/next")
async def show_next(eid: EidPath, caller: Reader, services: Served) -> Next:
    """What the device will get when it calls next. Nothing is done by asking."""
    await device_of(eid, caller, services)
    facts = await services.store.facts_of_poll(eid)
    found = upcoming(services.eim.eim, facts, services.clock.now())
    reference = None if found.order is None else await reading(services).reference(found.order)
    return Next(
        why=found.why,
        operation=reference,
        chore=found.chore,
        kind=found.kind,
        counter=found.counter,
        attempt=found.attempt,
        not_before=found.not_before,
    )


class OperationOfDevice(Outcome):
    id: str
    what: list[str]


@router.get("/devices/{eid}/operations")
async def list_operations_of_device(
    eid: EidPath, caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[OperationOfDevice]:
    """What this device has been given, the newest first; what it has not been given stands in its twin."""
    await device_of(eid, caller, services)
    before = number_position(cursor, "device operations", eid, first=0)
    rows = await reading(services).given(eid, services.clock.now(), before=before or None, limit=limit + 1)
    items = [
        OperationOfDevice(id=reference, what=list(what), **outcome_of(carried).model_dump())
        for _, reference, what, carried in rows[:limit]
    ]
    following = cursor_of("device operations", rows[limit - 1][0], eid) if len(rows) > limit else None
    return Page(items=items, next=following)


async def _line(device: Device, services: Services, response: Response) -> DeviceLine:
    response.headers["ETag"] = etag_of(device.version)
    ordinal = await reading(services).ordinal(device.eid)
    listed = Listed(
        ordinal,
        device,
        await services.store.knowledge(device.eid),
        await services.store.contact(device.eid),
        await reading(services).tags(ordinal),
    )
    return line_of(listed, services.clock.now())
