"""`/v1/tokens`: made, listed, revoked by a tenant's admins; a secret is shown once and kept nowhere."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from keim.api.access import Admin
from keim.api.context import Caller, Served
from keim.api.models import Asked, Moment, Name, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, text_position
from keim.errors import Refused
from keim.io.api_store.rows import Scope, Token, new_token
from keim.io.store.engine import Conflict

router = APIRouter(tags=["tokens"])

TokenId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5f0c1d2e3a4b5c6d"])]


class NewToken(Asked):
    name: Name = Field(examples=["billing system"])
    scopes: list[Scope] | None = Field(default=None, min_length=1, examples=[["read", "operate"]])
    role: str | None = Field(
        None, max_length=100, description="A named set of scopes instead: viewer, operator, approver, admin."
    )
    expires_at: Moment | None = None


class ShownToken(Shown):
    id: str
    tenant: str
    name: str
    scopes: list[Scope]
    created_at: Moment
    created_by: str
    expires_at: Moment | None
    revoked_at: Moment | None
    revoked_by: str
    last_used_at: Moment | None


class MadeToken(ShownToken):
    token: str = Field(description="The token itself. It is shown this once.")


@router.post("/tokens", status_code=201)
async def create_token(asked: NewToken, caller: Admin, services: Served, response: Response) -> MadeToken:
    """Make a token of your tenant. Nobody can give scopes that they do not have."""
    scopes = _scopes(asked, caller, services)
    now = services.clock.now()
    if asked.expires_at is not None and asked.expires_at <= now:
        raise Refused("the token would expire before it is made", code="api.invalid_request")
    token, text = new_token(
        services.entropy,
        tenant=caller.tenant,
        name=asked.name,
        scopes=scopes,
        now=now,
        created_by=caller.actor,
        expires_at=asked.expires_at,
    )
    await services.api.add_token(token)
    response.headers["Location"] = f"/v1/tokens/{token.id}"
    response.headers["Cache-Control"] = "no-store"
    return MadeToken(**_shown(token).model_dump(), token=text)


def _scopes(asked: NewToken, caller: Caller, services: Served) -> tuple[Scope, ...]:
    if (asked.role is None) == (asked.scopes is None):
        raise Refused("give either `scopes` or `role`", code="api.invalid_request")
    wanted = services.settings.scopes_of(asked.role) if asked.role is not None else tuple(asked.scopes or ())
    if missing := sorted(set(wanted) - caller.scopes):
        raise Refused(f"you do not have {', '.join(missing)} yourself", code="access.scope_missing")
    return tuple(scope for scope in Scope if scope in wanted)


@router.get("/tokens")
async def list_tokens(
    caller: Admin, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownToken]:
    """The tokens of your tenant, revoked and expired ones too."""
    after = text_position(cursor, "tokens")
    rows = await services.api.tokens(caller.tenant, after=after, limit=limit + 1)
    items = [_shown(row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("tokens", items[-1].id) if len(rows) > limit else None)


@router.get("/tokens/{token_id}")
async def show_token(token_id: TokenId, caller: Admin, services: Served) -> ShownToken:
    """One token, with its last use."""
    return _shown(await _own(token_id, caller, services))


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: TokenId, caller: Admin, services: Served) -> Response:
    """Revoke a token: no request under it is let in any more. Its row stays for the record."""
    token = await _own(token_id, caller, services)
    if token.revoked_at is None:
        with suppress(Conflict):  # somebody else revoked it at this very moment
            await services.api.revoke_token(token, now=services.clock.now(), actor=caller.actor)
    return Response(status_code=204)


async def _own(token_id: str, caller: Caller, services: Served) -> Token:
    token = await services.api.token(token_id)
    if token is None or token.tenant != caller.tenant:
        raise Refused(f"there is no token {token_id}", code="access.token_not_found")
    return token


def _shown(token: Token) -> ShownToken:
    return ShownToken.model_validate(token)
