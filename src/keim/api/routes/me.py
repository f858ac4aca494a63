"""`/v1/me`: who the caller is to this server."""

from __future__ import annotations

from fastapi import APIRouter

from keim.api.access import AnyCaller
from keim.api.context import Served
from keim.api.models import Shown
from keim.io.api_store.rows import Scope

router = APIRouter(tags=["me"])


class Me(Shown):
    tenant: str
    actor: str
    scopes: list[Scope]
    eim_id: str


@router.get("/me")
async def show_me(caller: AnyCaller, services: Served) -> Me:
    """Who you are: the tenant you act for, what events will call you, and what you may do."""
    return Me(
        tenant=caller.tenant,
        actor=caller.actor,
        scopes=sorted(caller.scopes),
        eim_id=services.eim.eim.eim_id,
    )
