"""The servers that an eIM calls, over real sockets: no redirects, no private networks, the right role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.card_lab import NOW, SMDP, Lab, world
from tests.https_peer import HttpsPeer

from keim.app.eim_outside import Outside, ServerConfig
from keim.eim.addresses import AddressPolicy
from keim.eim.relay.call import Call
from keim.errors import KeimError
from keim.io.tls import server_context
from keim.messages import es9p
from keim.messages.info import EUICCInfo1
from keim.pki.world import WorldPlan, create_world
from keim.wire.http import HttpRequest, HttpResponse


class Server:
    """One HTTPS server that answers by `answer`, and the client of an eIM before it."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse], *, name: str = "dp-tls") -> None:
        self.asked: list[HttpRequest] = []

        def noted(request: HttpRequest) -> HttpResponse:
            self.asked.append(request)
            return answer(request)

        self.peer = HttpsPeer(server_context(world().get(name), for_devices=True), noted)

    def request(self, address: str) -> es9p.InitiateAuthenticationRequest:
        return es9p.InitiateAuthenticationRequest(
            euicc_challenge=bytes(16),
            smdp_address=address,
            euicc_info1=EUICCInfo1.decode(Lab().es10(bytes.fromhex("BF2000"))),
        )

    def ask(self, address: str = SMDP, *, policy: AddressPolicy | None = None, connect: bool = True) -> Any:
        config = {address: ServerConfig(connect=f"127.0.0.1:{self.peer.port}")} if connect else {}
        outside = Outside(
            world(), policy or AddressPolicy(frozenset({SMDP})), config, now=lambda: NOW, timeout_s=5
        )

        async def ask() -> object:
            try:
                return await outside.ask(Call(address, self.request(address)))
            finally:
                outside.close()

        return asyncio.run(ask())


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made: list[Server] = []
    yield made
    for server in made:
        server.peer.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_nobody_follows_it(servers: list[Server], status: int) -> None:
    servers.append(Server(lambda request: HttpResponse(200, {}, b"")))
    where = f"https://127.0.0.1:{servers[0].peer.port}/gsma/rsp2/es9plus/initiateAuthentication"
    servers.append(Server(lambda request: HttpResponse(status, {"location": where}, b"")))
    with pytest.raises(KeimError):
        servers[1].ask()
    assert len(servers[1].asked) == 1
    assert servers[0].peer.connections == 0


@pytest.mark.parametrize("address", ["localhost", "localhost:8443", "127.0.0.1"])
def test_a_name_that_leads_home_is_not_called_unless_it_is_named(servers: list[Server], address: str) -> None:
    servers.append(Server(lambda request: HttpResponse(200, {}, b"")))
    with pytest.raises(KeimError) as refused:
        servers[0].ask(address, policy=AddressPolicy(), connect=False)
    assert refused.value.code in ("eim.address_refused", "exchange.unreachable")
    assert servers[0].peer.connections == 0


@pytest.mark.parametrize("name", ["eim-tls", "ds-tls"])
def test_a_certificate_of_another_role_hears_nothing(servers: list[Server], name: str) -> None:
    servers.append(Server(lambda request: HttpResponse(200, {}, b""), name=name))
    with pytest.raises(KeimError):
        servers[0].ask()
    assert servers[0].asked == []


def test_roots_that_were_read_anew_hold_for_the_next_call(servers: list[Server]) -> None:
    servers.append(Server(lambda request: HttpResponse(200, {}, b"")))
    strange = create_world(WorldPlan(), now=NOW)
    outside = Outside(
        strange,
        AddressPolicy(frozenset({SMDP})),
        {SMDP: ServerConfig(connect=f"127.0.0.1:{servers[0].peer.port}")},
        now=lambda: NOW,
        timeout_s=5,
    )
    call = Call(SMDP, servers[0].request(SMDP))

    async def ask() -> None:
        try:
            with pytest.raises(KeimError):
                await outside.ask(call)
        finally:
            outside.close()

    asyncio.run(ask())
    assert servers[0].asked == []
    outside.take(world())
    asyncio.run(ask())
    assert len(servers[0].asked) == 1
