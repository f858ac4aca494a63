"""Who may call what: the scopes as dependencies of routes (`caller: Reader`), and how a caller is recognised.

The edge has authenticated the caller before a route is reached; a route's dependency only asks for its scope.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request, Security
from fastapi.security import HTTPBearer, SecurityScopes

from keim.api.context import CALLER, Caller, Services
from keim.errors import Refused
from keim.io.api_store.rows import PREFIX, Scope, read_token

BEARER: Final = HTTPBearer(auto_error=False, description="A token of keim, or one of the identity provider.")
TENANT_HEADER: Final = "keim-tenant"


def _caller(wanted: SecurityScopes, request: Request, _: Annotated[object, Security(BEARER)]) -> Caller:
    caller: Caller = request.scope["state"][CALLER]
    for scope in wanted.scopes:
        if scope not in caller.scopes:
            raise Refused(f"this needs the scope {scope!r}", code="access.scope_missing")
    return caller


Reader = Annotated[Caller, Security(_caller, scopes=[Scope.READ.value])]
Operator = Annotated[Caller, Security(_caller, scopes=[Scope.OPERATE.value])]
Approver = Annotated[Caller, Security(_caller, scopes=[Scope.APPROVE.value])]
Admin = Annotated[Caller, Security(_caller, scopes=[Scope.ADMIN.value])]
Installer = Annotated[Caller, Security(_caller, scopes=[Scope.INSTALLATION.value])]
AnyCaller = Annotated[Caller, Security(_caller)]


async def recognise(services: Services, authorization: str, tenant: str) -> Caller:
    """The caller of a bearer token; `tenant` is whom an installation's caller wants to act for."""
    scheme, _, text = authorization.partition(" ")
    if not authorization:
        raise Refused("no token was sent", code="access.token_missing")
    text = text.strip()
    if scheme.lower() != "bearer":
        raise Refused("a token comes as `Authorization: Bearer TOKEN`", code="access.token_invalid")
    if text.startswith(PREFIX):
        caller = await _of_token(services, text)
    else:
        person = await services.people.recognise(text)
        caller = Caller(tenant=person.tenant, actor=person.actor, scopes=person.scopes, key=person.actor)
    return await for_tenant(services, caller, tenant)


async def _of_token(services: Services, text: str) -> Caller:
    read = read_token(text)
    token = None if read is None else await services.api.token(read[0])
    if read is None or token is None or not token.is_secret(read[1]):
        raise Refused("there is no such token", code="access.token_invalid")
    if not token.is_valid(services.clock.now()):
        why = "has expired" if token.revoked_at is None else "was revoked"
        raise Refused(f"the token {token.id} {why}", code="access.token_invalid")
    return Caller(
        tenant=token.tenant,
        actor=f"token:{token.id}",
        scopes=frozenset(token.scopes),
        key=token.id,
        token=token.id,
    )


async def for_tenant(services: Services, caller: Caller, wanted: str) -> Caller:
    """The caller, for the tenant they want to act for or their own, if that is there and open."""
    if wanted and wanted != caller.tenant:
        if not caller.is_of_installation:
            raise Refused("acting for another tenant needs `installation`", code="access.scope_missing")
        caller = Caller(
            tenant=wanted, actor=caller.actor, scopes=caller.scopes, key=caller.key, token=caller.token
        )
    tenant = await services.api.tenant(caller.tenant)
    if tenant is None:
        raise Refused(f"there is no tenant {caller.tenant!r}", code="access.tenant_not_found")
    if tenant.is_closed and not caller.is_of_installation:
        raise Refused("the tenant is closed", code="access.tenant_closed")
    return caller
