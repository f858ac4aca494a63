"""`/v1/tenants`: the customers of one installation; made, changed and closed by its admins only."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import Field

from keim.api.access import AnyCaller, Installer
from keim.api.context import Served
from keim.api.etags import IfMatch, IfNoneMatch, check_match, etag_of, is_among
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.app.operators import ROLES
from keim.errors import Refused
from keim.io.api_store.rows import MAIN, Scope, Tenant
from keim.io.store.engine import Conflict

router = APIRouter(tags=["tenants"])

PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
TenantName = Annotated[str, Path(pattern=PATTERN, examples=["acme"])]
Title = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["ACME Meters Ltd"])]


class NewTenant(Asked):
    name: str = Field(pattern=PATTERN, examples=["acme"], description="Its key, for ever.")
    title: Title = ""


class ChangedTenant(Asked):
    title: Title | None = None
    is_closed: bool | None = Field(
        default=None, description="Nobody of a closed tenant gets in; its devices go on."
    )


class ShownTenant(Shown):
    name: str
    title: str
    is_closed: bool
    version: int
    created_at: Moment


class Role(Shown):
    name: str
    scopes: list[Scope]


@router.get("/tenants")
async def list_tenants(
    _: Installer, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownTenant]:
    """All tenants of this installation, by name."""
    after = text_position(cursor, "tenants")
    rows = await services.api.tenants(after=after, limit=limit + 1)
    items = [ShownTenant.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("tenants", items[-1].name) if len(rows) > limit else None)


@router.post("/tenants", status_code=201)
async def create_tenant(
    asked: NewTenant, caller: Installer, services: Served, response: Response
) -> ShownTenant:
    """Make a tenant. Its first token is made with the header `Keim-Tenant` by whoever may do this."""
    now = services.clock.now()
    tenant = Tenant(name=asked.name, title=asked.title, created_at=now)
    try:
        await services.api.put_tenant(tenant, now=now, actor=caller.actor)
    except Conflict:
        raise Refused(f"{asked.name} is there already", code="access.tenant_exists") from None
    response.headers["Location"] = f"/v1/tenants/{tenant.name}"
    return _answered(tenant, response)


@router.get("/tenants/{tenant_name}", responses={304: {"description": "Unchanged since it was read."}})
async def show_tenant(
    tenant_name: TenantName,
    _: Installer,
    services: Served,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> ShownTenant:
    """One tenant, with its ETag."""
    tenant = await _known(tenant_name, services)
    if is_among(if_none_match, tenant.version):
        return Response(status_code=304)  # type: ignore[return-value]  # FastAPI passes a Response on as it is
    return _answered(tenant, response)


@router.patch("/tenants/{tenant_name}")
async def change_tenant(
    tenant_name: TenantName,
    asked: ChangedTenant,
    caller: Installer,
    services: Served,
    response: Response,
    if_match: IfMatch = None,
) -> ShownTenant:
    """Change its title, close it or open it again."""
    tenant = await _known(tenant_name, services)
    check_match(if_match, tenant.version)
    if asked.is_closed and tenant_name == MAIN:
        raise Refused("the main tenant cannot be closed", code="api.invalid_request")
    given = {name: value for name, value in asked.model_dump().items() if value is not None}
    changed = msgspec.structs.replace(tenant, version=tenant.version + 1, **given)
    try:
        await services.api.put_tenant(changed, now=services.clock.now(), actor=caller.actor)
    except Conflict:
        raise Refused("somebody else changed it just now", code="api.version_mismatch") from None
    return _answered(changed, response)


@router.get("/roles")
async def list_roles(_: AnyCaller, services: Served) -> Page[Role]:
    """Named sets of scopes: those of keim and those of this server's configuration."""
    known = {**ROLES, **services.settings.roles}
    return Page(items=[Role(name=name, scopes=list(scopes)) for name, scopes in sorted(known.items())])


async def _known(name: str, services: Served) -> Tenant:
    tenant = await services.api.tenant(name)
    if tenant is None:
        raise Refused(f"there is no tenant {name!r}", code="access.tenant_not_found")
    return tenant


def _answered(tenant: Tenant, response: Response) -> ShownTenant:
    response.headers["ETag"] = etag_of(tenant.version)
    return ShownTenant.model_validate(tenant)
