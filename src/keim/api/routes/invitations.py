"""`/v1/invitations`: devices that come from another eIM: invitations, their bundles, receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.context import Served, Services
from keim.api.handover_papers import PAPER, PAPER_ANSWER, PAPER_BODY
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.app.eim import configuration_data
from keim.eim.handover.rows import Arrived, Guest
from keim.eim.settings import COUNTER_MAXIMUM

router = APIRouter(tags=["invitations"])

InvitationId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", examples=["5f0c1d2e3a4b5c6d5f0c1d2e3a4b5c6d"])]
TakenNumber = Annotated[int, Path(ge=0, lt=1 << 31, examples=[1])]
Key = Annotated[str, Field(max_length=400, examples=["eim.example.com/audit+286af065+AYqI..."])]


class NewInvitation(Asked):
    sender_key: Key = Field("", description="The public key of the old eIM's log; better now than later.")
    counter: int = Field(0, ge=0, le=COUNTER_MAXIMUM, description="Where the eUICCs begin to count.")
    days: float = Field(30, gt=0, le=3660, description="How long it is good for, until its first bundle.")


class ShownInvitation(Shown):
    id: str
    created_at: Moment
    expires_at: Moment
    sender_key: str = Field(description="Empty: given with the first bundle.")
    old_eim_id: str = Field(description="Whose bundles it serves; empty before the first one.")
    devices: dict[str, int] = Field(description="How many are at each step.")
    bundles: list[str] = Field(description="What was taken.")
    paper: str = Field(description="For the old eIM.")


class ArrivingDevice(Shown):
    eid: str
    step: Arrived
    at: Moment
    bundle: str
    why: list[str]


class TakenBundle(Shown):
    bundle: str
    devices: int
    refused: dict[str, str] = Field(description="Devices that were not taken, and the code of the reason.")
    is_rehearsal: bool


async def _shown(services: Services, guest: Guest) -> ShownInvitation:
    incoming = services.handovers.incoming
    return ShownInvitation(
        id=guest.invitation.id,
        created_at=guest.created_at,
        expires_at=guest.invitation.expires_at,
        sender_key=guest.sender_key,
        old_eim_id=guest.old_eim_id,
        devices=await incoming.store.arrival_counts(guest.invitation.id),
        bundles=[taken.id for taken in await incoming.store.all_taken(guest.invitation.id)],
        paper=incoming.paper_of(guest).decode(),
    )


@router.post("/invitations", status_code=201)
async def create_invitation(
    asked: NewInvitation, caller: Operator, services: Served, response: Response
) -> ShownInvitation:
    """Make an invitation for one other eIM: what eUICCs must know of us, signed."""
    guest, _ = await services.handovers.incoming.invite(
        configuration_data(services.world, services.config, counter=asked.counter),
        tenant=caller.tenant,
        actor=caller.actor,
        sender_key=asked.sender_key,
        days=asked.days,
    )
    response.headers["Location"] = f"/v1/invitations/{guest.invitation.id}"
    return await _shown(services, guest)


@router.get("/invitations")
async def list_invitations(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownInvitation]:
    """The invitations of your tenant."""
    after = text_position(cursor, "invitations")
    rows = await services.handovers.incoming.store.guests(caller.tenant, after=after, limit=limit + 1)
    items = [await _shown(services, row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("invitations", items[-1].id) if len(rows) > limit else None)


@router.get("/invitations/{invitation_id}")
async def show_invitation(invitation_id: InvitationId, caller: Reader, services: Served) -> ShownInvitation:
    """One invitation, and how many devices are at each step."""
    return await _shown(services, await services.handovers.incoming.get(invitation_id, caller.tenant))


@router.get("/invitations/{invitation_id}/devices")
async def list_arriving_devices(
    invitation_id: InvitationId,
    *,
    caller: Reader,
    services: Served,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ArrivingDevice]:
    """Where each device stands."""
    await services.handovers.incoming.get(invitation_id, caller.tenant)
    rows = await services.handovers.incoming.store.arrivals(
        invitation_id, after=text_position(cursor, "arrivals", invitation_id), limit=limit + 1
    )
    items = [
        ArrivingDevice(eid=row.eid, step=row.step, at=row.at, bundle=row.bundle, why=list(row.why))
        for row in rows[:limit]
    ]
    return Page(
        items=items, next=cursor_of("arrivals", items[-1].eid, invitation_id) if len(rows) > limit else None
    )


@router.post("/invitations/{invitation_id}/bundles", openapi_extra=PAPER_BODY)
async def take_bundle(
    invitation_id: InvitationId,
    request: Request,
    *,
    caller: Operator,
    services: Served,
    sender_key: Annotated[str, Query(max_length=400, description="If the invitation does not name it.")] = "",
) -> TakenBundle:
    """Take the devices of a bundle; each that cannot be taken is named with its reason."""
    incoming = services.handovers.incoming
    await incoming.get(invitation_id, caller.tenant)
    told, _ = await incoming.receive(
        await request.body(),
        tenant=caller.tenant,
        sender_key=sender_key,
        actor=caller.actor,
        invitation=invitation_id,
    )
    return TakenBundle.model_validate(told)


@router.post(
    "/invitations/{invitation_id}/rehearsals",
    openapi_extra=PAPER_BODY,
    responses=PAPER_ANSWER,
    response_class=Response,
)
async def try_bundle(
    invitation_id: InvitationId,
    request: Request,
    *,
    caller: Operator,
    services: Served,
    sender_key: Annotated[str, Query(max_length=400, description="If the invitation does not name it.")] = "",
) -> Response:
    """Look at a rehearsal's bundle without taking it; the answer is the receipt of a rehearsal."""
    incoming = services.handovers.incoming
    await incoming.get(invitation_id, caller.tenant)
    _, receipt = await incoming.receive(
        await request.body(),
        tenant=caller.tenant,
        sender_key=sender_key,
        invitation=invitation_id,
        is_rehearsal=True,
    )
    return Response(receipt, media_type=PAPER)


@router.get(
    "/invitations/{invitation_id}/receipts/{taken_number}", responses=PAPER_ANSWER, response_class=Response
)
async def show_receipt(
    invitation_id: InvitationId, taken_number: TakenNumber, caller: Operator, services: Served
) -> Response:
    """How it stands now with the devices of a bundle, signed, with what their eUICCs signed."""
    await services.handovers.arrivals.run()
    paper = await services.handovers.incoming.receipt(invitation_id, taken_number, tenant=caller.tenant)
    return Response(paper, media_type=PAPER)
