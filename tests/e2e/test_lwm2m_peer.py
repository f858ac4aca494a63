"""LwM2M with a foreign end, lwm2m-node-lib: what it can (1.0, no DTLS, bodies of one datagram), both ways.

It reads what it is written as UTF-8, so octets above 7F come out as U+FFFD on its side: EFBFBD below.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable

import pytest
from tests.bindings.test_esipa_lwm2m import EID, FAST, NOTE, NOTHING, POLL, PUSH, RECEIVED, Field
from tests.peers.lwm2m import peer

from keim.errors import TimedOut
from keim.io.lwm2m_client import Lwm2mClient
from keim.wire.dtls.config import Target
from keim.wire.dtls.plain import PlainDatagrams
from keim.wire.lwm2m import Registration

pytestmark = pytest.mark.needs_system("lwm2m-peer")


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test, 60)

    asyncio.run(limited())


def seen(octets: bytes) -> str:
    """What the library makes of them."""
    return octets.decode("utf-8", "replace").encode().hex()


def test_a_foreign_device_registers_asks_and_is_answered() -> None:
    async def test() -> None:
        field = Field()
        field.address = field.server.open("127.0.0.1")
        async with peer("client.js", field.address[1], EID) as device:
            registered = await device.next("registered")
            assert registered["location"] == f"rd/{field.server.reach(EID).location}"
            device.tell(say=POLL.hex())
            written = await device.next("write")
            assert (written["resource"], written["hex"]) == ("2", seen(NOTHING))
            assert field.asked == [POLL]
            field.answer = lambda _message: b""
            device.tell(say=NOTE.hex())
            assert (await device.next("execute"))["resource"] == "4"
            assert field.asked == [POLL, NOTE]
            pushing = asyncio.ensure_future(field.server.inject(EID, PUSH, timeout_s=10))
            assert (await device.next("write"))["hex"] == seen(PUSH)
            device.tell(say=RECEIVED.hex())
            assert await pushing == RECEIVED
            with pytest.raises(TimedOut):  # its bodies are of one datagram: it never puts blocks together
                await field.server.inject(EID, PUSH + bytes(1500), timeout_s=0.5)
            device.tell(end=True)
            assert await device.end() == 0
            assert len(field.server.registry) == 0
        await field.server.close()

    run(test())


def test_our_device_serves_a_foreign_server() -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        name = f"urn:eid:{EID}"
        injected: list[bytes] = []
        async with peer("server.js", port) as server:
            await server.next("listening")
            device = Lwm2mClient(
                PlainDatagrams(), ("127.0.0.1", port), Target(), Registration(endpoint=name, lifetime_s=300),
                on_injected=injected.append, settings=FAST,
            )  # fmt: skip
            device.open("127.0.0.1")
            assert (await server.next("registered"))["payload"] == "</3443/0>"
            server.tell(do="observe", endpoint=name, resource="3")
            assert (await server.next("observe"))["error"] is None
            asking = asyncio.ensure_future(device.exchange(POLL, 20))
            assert (await server.next("notified"))["hex"] == seen(POLL)
            server.tell(do="write", endpoint=name, resource="2", hex=NOTHING.hex())
            assert (await server.next("write"))["error"] is None
            assert await asking == NOTHING
            server.tell(do="write", endpoint=name, resource="2", hex=PUSH.hex())
            assert (await server.next("write"))["error"] is None
            assert injected == [PUSH]
            server.tell(do="write", endpoint=name, resource="2", hex=PUSH.hex())
            assert (await server.next("write"))["error"]  # busy
            replying = asyncio.ensure_future(device.reply(RECEIVED, 10))
            assert (await server.next("notified"))["hex"] == seen(RECEIVED)
            server.tell(do="execute", endpoint=name, resource="4")
            assert await replying
            await device.close()
            await server.next("left")

    run(test())
