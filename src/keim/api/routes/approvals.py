"""`/v1/approvals`: what waits for a second person, and its decision."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from keim.api.access import Approver, Operator, Reader
from keim.api.approvals import decide
from keim.api.context import Caller, Served
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.errors import Refused
from keim.io.api_store.rows import Approval, ApprovalState

router = APIRouter(tags=["approvals"])

ApprovalId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["019ac8b4c005f0c1"])]


class Decision(Asked):
    reason: str = Field(
        default="", max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["agreed in the change meeting"]
    )


class ShownApproval(Shown):
    id: str
    kind: str = Field(description="What waits: an `operation`, a `handover`.")
    subject: str = Field(description="Its id among its kind.")
    summary: str
    state: ApprovalState
    asked_by: str
    asked_at: Moment
    expires_at: Moment
    decided_by: str
    decided_at: Moment | None
    reason: str


@router.get("/approvals")
async def list_approvals(
    caller: Reader,
    services: Served,
    state: Annotated[ApprovalState | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ShownApproval]:
    """What waits for a second person, or was decided, oldest first."""
    after = text_position(cursor, "approvals", state)
    rows = await services.api.approvals.page(caller.tenant, state=state, after=after, limit=limit + 1)
    items = [ShownApproval.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("approvals", items[-1].id, state) if len(rows) > limit else None)


@router.get("/approvals/{approval_id}")
async def show_approval(approval_id: ApprovalId, caller: Reader, services: Served) -> ShownApproval:
    """One approval: what it would do, who asked, and what became of it."""
    return ShownApproval.model_validate(await _own(approval_id, caller, services))


@router.post("/approvals/{approval_id}/approve")
async def approve(
    approval_id: ApprovalId, asked: Decision, caller: Approver, services: Served
) -> ShownApproval:
    """Let it happen. Whoever asked for it cannot."""
    return await _decided(approval_id, ApprovalState.APPROVED, asked, caller, services)


@router.post("/approvals/{approval_id}/refuse")
async def refuse(
    approval_id: ApprovalId, asked: Decision, caller: Approver, services: Served
) -> ShownApproval:
    """It shall not happen."""
    return await _decided(approval_id, ApprovalState.REFUSED, asked, caller, services)


@router.post("/approvals/{approval_id}/withdraw")
async def withdraw(
    approval_id: ApprovalId, asked: Decision, caller: Operator, services: Served
) -> ShownApproval:
    """Take back what you asked for."""
    return await _decided(approval_id, ApprovalState.WITHDRAWN, asked, caller, services)


async def _decided(
    approval_id: str, state: ApprovalState, asked: Decision, caller: Caller, services: Served
) -> ShownApproval:
    approval = await _own(approval_id, caller, services)
    return ShownApproval.model_validate(await decide(services, caller, approval, state, asked.reason))


async def _own(approval_id: str, caller: Caller, services: Served) -> Approval:
    approval = await services.api.approvals.get(approval_id)
    if approval is None or approval.tenant != caller.tenant:
        raise Refused(f"there is no approval {approval_id}", code="access.approval_not_found")
    return approval
