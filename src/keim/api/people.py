"""People who come through an identity provider: from a verified token to a tenant and scopes."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keim.app.oidc_config import OidcConfig
from keim.app.operators import ApiConfig
from keim.errors import Refused
from keim.io.api_store.rows import Scope
from keim.io.oidc.bearer import Claims, Rules, issuer_in, verify
from keim.io.oidc.keys import ProviderKeys
from keim.seams import Clock


class Person(msgspec.Struct, frozen=True, kw_only=True):
    actor: str
    tenant: str
    scopes: frozenset[Scope]


class _Provider:
    def __init__(self, config: OidcConfig, clock: Clock) -> None:
        config.check()
        self.config = config
        self.rules = Rules(
            issuer=config.issuer,
            audience=config.audience,
            algorithms=config.algorithms,
            leeway_s=config.leeway_s,
        )
        tls = ssl.create_default_context(cafile=config.ca_file or None)
        self.keys = ProviderKeys(config.issuer, tls, now=clock.now)


class People:
    def __init__(self, config: ApiConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._providers = {one.issuer: _Provider(one, clock) for one in config.oidc}
        for provider in config.oidc:
            for role in provider.roles.values():
                config.scopes_of(role)

    async def recognise(self, token: str) -> Person:
        if not self._providers:
            raise Refused("this is no token of this server", code="access.token_invalid")
        provider = self._providers.get(issuer_in(token))
        if provider is None:
            raise Refused("it comes from an issuer that is not known here", code="oidc.token_invalid")
        claims = await verify(token, provider.rules, provider.keys, self._clock.now())
        return self._person(claims, provider.config)

    def _person(self, claims: Claims, config: OidcConfig) -> Person:
        name = claims_at(claims, config.name_claim)
        if len(name) != 1 or not name[0].isprintable() or len(name[0]) > 80:
            raise Refused(f"the claim {config.name_claim!r} names nobody", code="oidc.person_unmapped")
        scopes: set[Scope] = set()
        for value in claims_at(claims, config.role_claim):
            if value in config.roles:
                scopes.update(self._config.scopes_of(config.roles[value]))
        if not scopes:
            raise Refused("none of your groups has a role here", code="oidc.person_unmapped")
        actor = f"person:{name[0]}@{urlsplit(config.issuer).netloc}"[:128]
        return Person(actor=actor, tenant=_tenant(claims, config), scopes=frozenset(scopes))


def _tenant(claims: Claims, config: OidcConfig) -> str:
    if not config.tenant_claim:
        return config.tenant
    known = [
        config.tenants[value] for value in claims_at(claims, config.tenant_claim) if value in config.tenants
    ]
    if len(set(known)) != 1:
        raise Refused(f"the claim {config.tenant_claim!r} names no one tenant", code="oidc.person_unmapped")
    return known[0]


def claims_at(claims: Claims, path: str) -> Sequence[str]:
    """The texts of a claim, one or a list; a claim whose name holds dots is found as such first."""
    value: Any = claims.get(path)  # Any: JSON of the provider
    if value is None:
        value = claims
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
