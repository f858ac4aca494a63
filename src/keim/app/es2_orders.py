"""Activation codes ordered from an SM-DP+ over ES2+, where the stock has none (SGP.22 §5.3)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from keim.app.config import host_and_port
from keim.errors import KeimError, PeerError, Refused
from keim.io.rsp_clients import Es2Client, rsp_client
from keim.messages.execution_status import Failure
from keim.pki import Role
from keim.pki.world import World


class Es2Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[es2plus.NAME]`: an SM-DP+ from which profiles can be ordered."""

    url: str
    server_name: str = ""
    """Its name in its certificate and in activation codes; empty: the URL's."""
    connect: str = ""
    """HOST:PORT instead of what the name resolves to."""
    credential: str = "eim-tls"
    """Of the PKI: the certificate by which the SM-DP+ knows us."""
    requester: str = ""
    """functionRequesterIdentifier; empty: this eIM's id."""


class Ordered(NamedTuple):
    activation_code: str
    iccid: str


class Es2Orders:
    def __init__(
        self, servers: dict[str, Es2Config], world: World, *, eim_id: str, now: Callable[[], datetime]
    ) -> None:
        self._servers = servers
        self._world = world
        self._eim_id = eim_id
        self._now = now

    def check(self, server: str) -> Es2Config:
        found = self._servers.get(server)
        if found is None:
            known = ", ".join(sorted(self._servers)) or "none"
            raise Refused(
                f"no SM-DP+ is set up as {server[:60]!r}; known: {known}", code="catalogue.server_not_found"
            )
        return found

    async def order(self, server: str, profile_type: str) -> Ordered:
        """DownloadOrder and ConfirmOrder with release; what was begun and not ended is cancelled."""
        config = self.check(server)
        name = config.server_name or urlsplit(config.url).hostname or ""
        client = self._client(config, name)
        try:
            begun = await client.download_order(profile_type=profile_type)
            if isinstance(begun, Failure):
                raise _refused(server, "DownloadOrder", begun)
            confirmed = await client.confirm_order(begun.iccid)
            if isinstance(confirmed, Failure):
                with suppress(KeimError):
                    await client.cancel_order(begun.iccid)
                raise _refused(server, "ConfirmOrder", confirmed)
        finally:
            client.close()
        address = confirmed.smdp_address or name
        return Ordered(f"1${address}${confirmed.matching_id}", begun.iccid)

    def _client(self, config: Es2Config, name: str) -> Es2Client:
        http = rsp_client(
            config.url,
            self._world,
            self._world.get(config.credential),
            role=Role.DP_TLS,
            now=self._now,
            server_name=name,
            connect_to=host_and_port(config.connect, "es2plus.connect") if config.connect else None,
        )
        return Es2Client(http, requester=config.requester or self._eim_id)


def _refused(server: str, function: str, failure: Failure) -> PeerError:
    return PeerError(
        f"{function}: {failure.code} {failure.message}",
        code="catalogue.order_refused",
        party=server,
        step=function,
    )
