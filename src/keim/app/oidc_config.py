"""How the API believes an identity provider: one table `[[api.oidc]]` for each (docs/how-to/access.md)."""

from __future__ import annotations

import msgspec

from keim.app.config import Leeway
from keim.errors import Refused
from keim.io.api_store.rows import MAIN
from keim.io.oidc.algorithms import KEY_TYPES
from keim.io.oidc.provider import check_address


class OidcConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issuer: str
    """Exactly as the provider's tokens and its description of itself name it."""
    audience: str
    """What `aud` of a token must hold: the API's name at the provider, or the client's for ID tokens."""
    client_id: str = ""
    """Of `keim login`, a public client; empty: nobody signs in by it."""
    client_secret: str = ""
    """For providers that want one of public clients too; it is told to everybody who signs in."""
    scopes: tuple[str, ...] = ("openid", "profile", "offline_access")
    parameters: dict[str, str] = {}
    """Further parameters of the authorization request, such as `audience`."""
    token: str = "access"
    """Which token is sent to the API: `access`, or `id` where access tokens are no JWTs."""
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
    leeway_s: Leeway = 60.0
    """How far the clocks may be apart."""
    ca_file: str = ""
    """PEM file of a private authority; empty: the platform's."""
    role_claim: str = "roles"
    """The claim with groups or roles, `realm_access.roles` for one inside of another."""
    roles: dict[str, str] = {}
    """Value of that claim -> role of keim; other values give nothing."""
    tenant: str = MAIN
    """The tenant of everybody, unless a claim tells it."""
    tenant_claim: str = ""
    tenants: dict[str, str] = {}
    """Value of that claim -> tenant; other values are let in nowhere."""
    name_claim: str = "sub"
    """By which events call a person: unchanging and unique at the provider."""

    def check(self) -> None:
        check_address(self.issuer, "the issuer of an identity provider")
        unknown = sorted(set(self.algorithms) - set(KEY_TYPES))
        if unknown or not self.algorithms:
            raise Refused(f"api.oidc.algorithms: {unknown} proves nothing here", code="config.invalid")
        if self.token not in ("access", "id"):
            raise Refused("api.oidc.token is `access` or `id`", code="config.invalid")
        if not self.audience:
            raise Refused("api.oidc.audience is empty", code="config.invalid")
        if not 0 <= self.leeway_s <= 600:
            raise Refused("api.oidc.leeway_s lies between 0 and 600", code="config.invalid")
