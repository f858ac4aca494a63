"""Observation (RFC 7641) against aiocoap, an independent implementation, over real sockets; both roles."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from typing import Any

import aiocoap
import aiocoap.resource

from keim.io.coap import CoapNode
from keim.wire.coap import numbers
from keim.wire.coap.events import Association, Notified, Request, Response, Told
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.plain import PlainDatagrams

PATH = ("3443", "0", "3")
LARGE = hashlib.shake_128(b"large").digest(5000)
VALUES = (b"second", LARGE, b"last")


def test_aiocoap_observes_our_resource() -> None:
    async def test() -> None:
        value, number = b"first", 1
        told: asyncio.Queue[bool] = asyncio.Queue()

        def response() -> Response:
            return Response(numbers.CONTENT, value, 42, observe=number)

        observers: list[Association] = []

        def serve(request: Request, association: Association) -> Response:
            if request.observe == 0:
                observers.append(association)
            return response()

        def watch(event: Any, _now: float) -> None:
            if isinstance(event, Told):
                told.put_nowait(event.is_taken)

        node = CoapNode(PlainDatagrams(), serve=serve, watch=watch, settings=CoapSettings(ack_timeout_s=0.5))
        host, port = node.open("127.0.0.1")
        client = await aiocoap.Context.create_client_context(transports=["udp6"])
        uri = f"coap://{host}:{port}/{'/'.join(PATH)}"
        asked = client.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        assert (await asked.response).payload == value
        heard = aiter(asked.observation)
        for value in VALUES:
            number += 1
            assert node.notify(observers[0], PATH, response())
            assert (await anext(heard)).payload == value
            assert await told.get()
        asked.observation.cancel()
        is_taken = True
        for _ in range(10):  # it says so soon, or resets what it does not want any more
            number += 1
            if not node.notify(observers[0], PATH, response()):
                break
            is_taken = await told.get()
        assert not is_taken or not node.notify(observers[0], PATH, response())
        await client.shutdown()
        await node.close()

    asyncio.run(asyncio.wait_for(test(), 30))


class Changing(aiocoap.resource.ObservableResource):  # type: ignore[misc]  # aiocoap carries no types
    def __init__(self) -> None:
        super().__init__()
        self.value = b"first"

    async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=self.value, content_format=42)


def test_we_observe_a_resource_of_aiocoap() -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        site, changing = aiocoap.resource.Site(), Changing()
        site.add_resource(PATH, changing)
        server = await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", port), transports=["udp6"]
        )
        heard: asyncio.Queue[Notified] = asyncio.Queue()

        def watch(event: Any, _now: float) -> None:
            if isinstance(event, Notified):
                heard.put_nowait(event)

        node = CoapNode(PlainDatagrams(), watch=watch, settings=CoapSettings(token_octets=4))
        node.open("127.0.0.1")
        there = ("127.0.0.1", port)
        first = await node.ask(there, Request(method=numbers.GET, path=PATH, observe=0))
        assert first.body == b"first"
        assert first.observe is not None
        for value in VALUES:
            changing.value = value
            changing.updated_state()
            notified = await heard.get()
            assert notified.path == PATH
            if not notified.is_whole:
                whole = await node.ask(there, Request(method=numbers.GET, path=PATH))
                assert whole.body == value
            else:
                assert notified.response.body == value
        await node.ask(there, Request(method=numbers.GET, path=PATH, observe=1))
        await node.close()
        await server.shutdown()

    asyncio.run(asyncio.wait_for(test(), 30))
