"""The servers that an eIM calls: SM-DP+s and SM-DSs, by one policy and one client for each.

What a name resolves to is checked as well, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from keim.app.config import host_and_port
from keim.eim.addresses import AddressPolicy
from keim.eim.relay.call import Call
from keim.eim.rows import Errand
from keim.io.http_client import HttpClient
from keim.io.kept_clients import KeptClients
from keim.io.resolve import endpoint_of
from keim.io.rsp_clients import rsp_client
from keim.messages import es9p
from keim.messages.notification import PendingNotification
from keim.pki import Role
from keim.pki.world import World
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es9p import CLIENT_HEADERS, Es9Request, function_of


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one SM-DP+ or SM-DS beyond its name."""

    connect: str = ""
    """HOST:PORT instead of what the name resolves to; whoever writes it here has allowed it."""
    binding: Literal["json", "asn1"] = "json"
    protocol: str = CLIENT_HEADERS["x-admin-protocol"]


class Outside:
    def __init__(
        self,
        world: World,
        policy: AddressPolicy,
        servers: dict[str, ServerConfig],
        *,
        now: Callable[[], datetime],
        timeout_s: float = 60.0,
    ) -> None:
        self._world = world
        self._policy = policy
        self._servers = servers
        self._now = now
        self._timeout_s = timeout_s
        self._clients = KeptClients()

    async def ask(self, call: Call) -> object:
        return await self._send(call.address, call.request, Role.DS_TLS if call.is_smds else Role.DP_TLS)

    async def forward(self, errand: Errand) -> None:
        notification = PendingNotification.decode(errand.body)
        request = es9p.HandleNotification(pending_notification=notification)
        await self._send(self._policy.check(errand.address), request, Role.DP_TLS)

    async def _send(self, address: str, request: Es9Request, role: Role) -> object:
        config = self._servers.get(address, ServerConfig())
        binding = es9p_json if config.binding == "json" else es9p_asn1
        headers = {**CLIENT_HEADERS, "x-admin-protocol": config.protocol}
        client = self._client(address, await self._endpoint(address, config), role)
        reply = await client.send(binding.write_request(request, headers))
        return binding.read_reply(function_of(request), reply, party=address)

    async def _endpoint(self, address: str, config: ServerConfig) -> tuple[str, int]:
        if config.connect:
            return host_and_port(config.connect, f"servers.{address}.connect")
        return await endpoint_of(address, self._policy)

    def _client(self, address: str, endpoint: tuple[str, int], role: Role) -> HttpClient:
        return self._clients.of(
            (address, endpoint, role),
            lambda: rsp_client(
                f"https://{address}",
                self._world,
                None,
                role=role,
                now=self._now,
                server_name=address.partition(":")[0],
                timeout_s=self._timeout_s,
                connect_to=endpoint,
            ),
        )

    def take(self, world: World) -> None:
        """Roots and revocation lists of a PKI that has changed, for connections from now on."""
        self._world = world
        self.close()

    def close(self) -> None:
        self._clients.close()
