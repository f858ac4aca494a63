"""`/v1/handovers`: devices that go to another eIM: plan, rehearse, start, bundles, receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.approvals import Held, acts_on, hold, is_needed
from keim.api.context import Served, Services
from keim.api.handover_papers import PAPER, PAPER_ANSWER, PAPER_BODY
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.app.handover.papers import read_invitation
from keim.audit.note import NoteKey
from keim.eim.handover.rows import Handover, Remover, Step
from keim.errors import Refused
from keim.io.api_store.rows import Approval
from keim.io.eim_store.store import Beside

router = APIRouter(tags=["handovers"])

HandoverId = Annotated[str, Path(pattern=r"^[\w.-]{1,60}$", examples=["5f0c1d2e3a4b5c6d"])]
BundleNumber = Annotated[int, Path(ge=0, lt=1 << 31, examples=[1])]
LogKey = Annotated[str, Field(max_length=400, examples=["eim.example.org/audit+286af065+AYqI..."])]


class NewHandover(Asked):
    invitation: str = Field(max_length=65_536, description="What the new eIM wrote.", examples=["{}"])
    key: LogKey = Field(description="The public key of the new eIM's log, from a source of your own.")
    name: str | None = Field(None, pattern=r"^[\w.-]{1,60}$", description="Default: a random one.")
    eids: list[str] | None = Field(None, max_length=10_000, description="Only these devices.")
    tag: str | None = Field(None, max_length=100, description="Only devices with this tag.")
    removed_by: Remover = Field(Remover.NEW, description="Which eIM deletes the old one's entry.")


class ShownHandover(Shown):
    id: str
    to: str = Field(description="The new eIM.")
    created_at: Moment
    started_at: Moment | None
    stopped_at: Moment | None
    removed_by: Remover
    devices: dict[str, int] = Field(description="How many are at each step.")
    approval: str | None = Field(None, description="It starts when this approval is given.")


class LeavingDevice(Shown):
    eid: str
    step: Step
    at: Moment
    why: list[str] = Field(description="What blocks it, what failed, what is odd.")
    bundle: int | None


class Rehearsal(Shown):
    devices: int
    blocked: int
    reasons: dict[str, int] = Field(description="How many devices each reason holds back, or makes odd.")
    package_octets: int = Field(description="Of the commands that each eUICC gets.")
    bundles: int
    bundle_octets: int


class Round(Asked):
    retries: bool = Field(False, description="Try again what failed.")


class Moved(Shown):
    moved: int = Field(description="Devices that came a step further.")
    unproved: dict[str, str] = Field(description="Devices whose evidence was not believed, and why.")


class WrittenBundle(Shown):
    number: int
    devices: int


async def _shown(services: Services, row: Handover, approval: str | None = None) -> ShownHandover:
    return ShownHandover(
        id=row.reference,
        to=row.invitation.eim_id,
        created_at=row.created_at,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        removed_by=row.remover,
        devices=await services.handovers.departures.store.counts(row.reference),
        approval=approval,
    )


@router.post("/handovers", status_code=201)
async def plan_handover(
    asked: NewHandover, caller: Operator, services: Served, response: Response
) -> ShownHandover:
    """Plan a hand-over: each device is checked, nothing is ordered. Without a list or tag: all devices."""
    if asked.eids is not None and asked.tag is not None:
        raise Refused("give `eids` or `tag`, not both", code="api.invalid_request")
    invitation = read_invitation(asked.invitation.encode(), NoteKey.from_text(asked.key))
    made = await services.handovers.plans.plan(
        invitation,
        tenant=caller.tenant,
        actor=caller.actor,
        eids=asked.eids,
        tag=asked.tag,
        remover=asked.removed_by,
        reference=asked.name,
    )
    response.headers["Location"] = f"/v1/handovers/{made.reference}"
    return await _shown(services, made)


@router.get("/handovers")
async def list_handovers(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownHandover]:
    """The hand-overs of your tenant."""
    store = services.handovers.departures.store
    rows = await store.handovers(caller.tenant, after=text_position(cursor, "handovers"), limit=limit + 1)
    items = [await _shown(services, row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("handovers", items[-1].id) if len(rows) > limit else None)


@router.get("/handovers/{handover_id}")
async def show_handover(handover_id: HandoverId, caller: Reader, services: Served) -> ShownHandover:
    """One hand-over, and how many devices are at each step."""
    return await _shown(services, await services.handovers.departures.get(handover_id, caller.tenant))


@router.get("/handovers/{handover_id}/devices")
async def list_handover_devices(
    handover_id: HandoverId,
    *,
    caller: Reader,
    services: Served,
    step: Annotated[Step | None, Query(description="Only those.")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[LeavingDevice]:
    """Where each device stands, and why it does not go on."""
    await services.handovers.departures.get(handover_id, caller.tenant)
    rows = await services.handovers.departures.store.leaving(
        handover_id,
        () if step is None else (step,),
        after=text_position(cursor, "handover devices", handover_id, step),
        limit=limit + 1,
    )
    items = [
        LeavingDevice(eid=row.eid, step=row.step, at=row.at, why=list(row.why), bundle=row.bundle)
        for row in rows[:limit]
    ]
    following = cursor_of("handover devices", items[-1].eid, handover_id, step) if len(rows) > limit else None
    return Page(items=items, next=following)


@router.post("/handovers/{handover_id}/rehearse")
async def rehearse_handover(handover_id: HandoverId, caller: Operator, services: Served) -> Rehearsal:
    """Everything but the orders: the checks once more, the package, the size of the bundles."""
    told, _ = await services.handovers.plans.rehearse(handover_id, tenant=caller.tenant)
    return Rehearsal.model_validate(told)


@router.post("/handovers/{handover_id}/start", status_code=202)
async def start_handover(handover_id: HandoverId, caller: Operator, services: Served) -> ShownHandover:
    """From now on the new eIM is added to each device that is not blocked."""
    found = await services.handovers.departures.get(handover_id, caller.tenant)
    counts = await services.handovers.departures.store.counts(handover_id)
    if _is_idle(found) and is_needed(services, ("handover",), devices=sum(counts.values())):
        summary = f"hand {sum(counts.values())} devices over to {found.invitation.eim_id}"
        held = await hold(services, caller, kind="handover", subject=handover_id, summary=summary)
        return await _shown(services, found, held.id)
    started = await services.handovers.departures.start(handover_id, tenant=caller.tenant, actor=caller.actor)
    await services.handovers.departures.go_on(started)
    return await _shown(services, started)


def _is_idle(row: Handover) -> bool:
    return row.started_at is None or row.stopped_at is not None


@router.post("/handovers/{handover_id}/stop")
async def stop_handover(handover_id: HandoverId, caller: Operator, services: Served) -> ShownHandover:
    """Order nothing more, and withdraw what no device has yet. Devices that know the new eIM go on."""
    stopped = await services.handovers.departures.stop(handover_id, tenant=caller.tenant, actor=caller.actor)
    return await _shown(services, stopped)


async def _release(services: Services, approval: Approval, beside: Beside) -> None:
    await services.handovers.departures.start(
        approval.subject, tenant=approval.tenant, actor=approval.asked_by, beside=beside
    )


async def _give_up(services: Services, approval: Approval, beside: Beside) -> None:
    """A plan that is not started does nothing."""
    await services.store.keep(beside, tenant=approval.tenant)


acts_on("handover", Held(_release, _give_up))


@router.post("/handovers/{handover_id}/continue")
async def continue_handover(
    handover_id: HandoverId, asked: Round, caller: Operator, services: Served
) -> Moved:
    """Do now what the server does now and then: order, look at answers, remove. Retry what failed."""
    found = await services.handovers.departures.get(handover_id, caller.tenant)
    moved = await services.handovers.departures.go_on(found, retries=asked.retries)
    return Moved(moved=moved, unproved={})


@router.post("/handovers/{handover_id}/bundles", status_code=201)
async def write_bundle(
    handover_id: HandoverId, caller: Operator, services: Served, response: Response
) -> WrittenBundle:
    """Put the devices whose eUICC knows the new eIM into a bundle for it."""
    await services.handovers.outgoing.bundle(handover_id, tenant=caller.tenant)
    store = services.handovers.outgoing.store
    number = await store.last_bundle(handover_id)
    found = await store.bundle(handover_id, number)
    response.headers["Location"] = f"/v1/handovers/{handover_id}/bundles/{number}"
    return WrittenBundle(number=number, devices=0 if found is None else found.devices)


@router.get(
    "/handovers/{handover_id}/bundles/{bundle_number}", responses=PAPER_ANSWER, response_class=Response
)
async def show_bundle(
    handover_id: HandoverId, bundle_number: BundleNumber, caller: Operator, services: Served
) -> Response:
    """A bundle as the new eIM takes it, the same octets each time; number 0 is a rehearsal's."""
    if bundle_number == 0:
        _, paper = await services.handovers.plans.rehearse(handover_id, tenant=caller.tenant)
    else:
        paper = await services.handovers.outgoing.bundle(
            handover_id, number=bundle_number, tenant=caller.tenant
        )
    return Response(paper, media_type=PAPER)


@router.post("/handovers/{handover_id}/receipts", openapi_extra=PAPER_BODY)
async def take_receipt(
    handover_id: HandoverId, request: Request, caller: Operator, services: Served
) -> Moved:
    """Take a receipt of the new eIM: a device moves as far as its eUICC's signature proves it."""
    told = await services.handovers.outgoing.take_receipt(
        handover_id, await request.body(), tenant=caller.tenant
    )
    return Moved(moved=told.moved, unproved=told.unproved)
