"""What the operators' listener is set up with, and the seam by which its program comes in from above.

`keim.api` stands above this floor: whoever starts an eIM hands a factory in, and an eIM without it has no
operators' listener. Must never import keim.api.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from keim.app.config import Count, Days, Hours, Octets, Rate, host_and_port
from keim.app.oidc_config import OidcConfig
from keim.errors import Refused
from keim.io.api_store import ApiStore
from keim.io.api_store.rows import MAIN, Scope, new_token
from keim.io.serve import AsgiApplication, Listener
from keim.io.store.engine import Engine
from keim.io.tls import operators_context, server_context
from keim.pki.world import World
from keim.seams import Clock, Entropy

if TYPE_CHECKING:
    from keim.app.eim import EimConfig
    from keim.app.eim_service import EimService

ROLES: Final[dict[str, tuple[Scope, ...]]] = {
    "viewer": (Scope.READ,),
    "operator": (Scope.READ, Scope.OPERATE),
    "approver": (Scope.READ, Scope.APPROVE),
    "admin": (Scope.READ, Scope.OPERATE, Scope.APPROVE, Scope.ADMIN),
    "owner": tuple(Scope),
}
"""Names of sets of scopes, for people; `[api.roles]` adds more."""


class ApiLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one token or person: requests a second on average, and at once. 0: no limit."""

    rate: Rate = 100.0
    burst: Rate = 500.0
    stranger_rate: Rate = 5.0
    """Of one address: requests whose token is missing or wrong."""
    stranger_burst: Rate = 50.0
    body: Octets = 1024 * 1024
    """Octets of a JSON body."""
    upload: Octets = 1024 * 1024 * 1024
    """Octets of a file that is sent in."""
    depth: Count = 32
    """How deep JSON may be nested."""
    answer_days: Days = 2.0
    """How long the answer to an `Idempotency-Key` is remembered."""


class ApprovalsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What needs a second person."""

    kinds: tuple[str, ...] = ()
    """Names of what is done: `delete`, `disable`, `handover`, ... as operations and hand-overs call it."""
    devices: Count = 0
    """Whatever is done to more devices than this at once; 0: no such rule."""
    hours: Hours = 72.0
    """How long it waits for its decision."""


class ApiConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[api]` of an eIM's configuration: docs/how-to/access.md."""

    certificate: str = ""
    """PEM file with its intermediates; empty: the eIM's own TLS certificate."""
    key: str = ""
    tls: bool = True
    """False: plain HTTP, on an address of this machine's loopback only."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    limits: ApiLimits = ApiLimits()
    roles: dict[str, tuple[Scope, ...]] = {}
    approvals: ApprovalsConfig = ApprovalsConfig()
    oidc: tuple[OidcConfig, ...] = ()
    """Identity providers whose people are let in."""

    def scopes_of(self, role: str) -> tuple[Scope, ...]:
        found = self.roles.get(role, ROLES.get(role))
        if found is None:
            known = ", ".join(sorted({*ROLES, *self.roles}))
            raise Refused(f"there is no role {role!r}; known are {known}", code="access.role_unknown")
        return found


class Operators(msgspec.Struct, frozen=True, kw_only=True):
    """What a factory makes: the application, what runs beside it, and how its long answers are ended."""

    application: AsgiApplication
    background: Sequence[Callable[[], Awaitable[None]]] = ()
    stop: Callable[[], None] = lambda: None
    gauges: Callable[[], Mapping[str, Mapping[str, int]]] = dict
    """For /metrics."""


OperatorsFactory = Callable[["EimService", "EimConfig", World], Awaitable[Operators]]


def listener_of(
    operators: Operators, listen: str, tls: ssl.SSLContext | None, *, is_shared: bool = False
) -> Listener:
    host, port = host_and_port(listen, "api_listen")
    return Listener(
        name="api",
        host=host,
        port=port,
        application=operators.application,
        tls=tls,
        is_shared=is_shared,
        on_stop=operators.stop,
    )


def api_tls_of(world: World, listen: str, config: ApiConfig) -> ssl.SSLContext | None:
    """Made once, before workers are forked. Without TLS only the own machine is let in."""
    if config.tls:
        if config.certificate:
            return operators_context(Path(config.certificate), Path(config.key or config.certificate))
        return server_context(world.get("eim-tls"))
    host, _ = host_and_port(listen, "api_listen")
    if not _is_loopback(host):
        raise Refused(f"api_listen: {listen} would send tokens in the clear", code="api.plain_listener")
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def first_token(engine: Engine, clock: Clock, entropy: Entropy) -> str | None:
    """The text of the first token, which may do everything; None if there is any token already."""
    store = ApiStore(engine)
    await store.prepare()
    if await store.has_tokens():
        return None
    token, text = new_token(entropy, tenant=MAIN, name="first", scopes=ROLES["owner"], now=clock.now())
    await store.add_token(token)
    return text
