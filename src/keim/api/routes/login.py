"""`/v1/login`: how people sign in here; open to everybody, since `keim login` asks it first."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from keim.api.context import Served
from keim.api.models import Shown

router = APIRouter(tags=["login"])


class WayIn(Shown):
    issuer: str = Field(examples=["https://id.example.com"])
    client_id: str
    client_secret: str = Field(description="Of a public client: no secret at all. Empty in most cases.")
    scopes: list[str]
    parameters: dict[str, str] = Field(description="Further parameters of the authorization request.")
    token: str = Field(description="Which token the API takes: `access` or `id`.")


class WaysIn(Shown):
    items: list[WayIn]


@router.get("/login")
async def show_login(services: Served) -> WaysIn:
    """The identity providers that `keim login` can sign in by."""
    ways = [WayIn.model_validate(one) for one in services.settings.oidc if one.client_id]
    return WaysIn(items=ways)
