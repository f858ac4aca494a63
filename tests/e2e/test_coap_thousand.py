"""A thousand devices at once on one socket of the server: each gets its association and its answer."""

from __future__ import annotations

import asyncio
import resource

from tests.e2e.coap_peers import NAME, Served, digest, papers

from keim.io.coap import CoapNode
from keim.io.entropy import OsEntropy
from keim.wire.coap.events import Request
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.trust import PinnedKeys

DEVICES = 1000


def test_a_thousand_handshakes_at_once_lose_nobody() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DEVICES + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    trust = PinnedKeys([papers().credential("server").spki])

    async def device(port: int, number: int) -> bytes:
        lower = DtlsEndpoint(DtlsConfig(trust=trust, cid_octets=0), entropy=OsEntropy())
        node = CoapNode(lower, settings=CoapSettings(ack_timeout_s=3.0))
        node.open("127.0.0.1")
        try:
            association = await node.connect(("127.0.0.1", port), Target(server_name=NAME))
            body = number.to_bytes(4, "big")
            return (await node.ask(association, Request(path=("gsma",), body=body))).body
        finally:
            await node.close()

    async def run() -> None:
        served = Served(
            DtlsEndpoint(DtlsConfig(credentials=(papers().credential("server"),)), entropy=OsEntropy())
        )
        _, port = served.open("127.0.0.1")
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(device(port, number) for number in range(DEVICES)))
        await served.close()
        assert answers == [digest(number.to_bytes(4, "big")) for number in range(DEVICES)]
        assert len(served.ups) == DEVICES
        assert len(served.requests) == DEVICES

    asyncio.run(run())
