"""Our CoAP against aiocoap, an independent implementation, over real sockets on loopback; both roles."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable

import aiocoap
import aiocoap.resource
import pytest

from keim.io.coap import CoapNode
from keim.wire.coap.events import Association, Request, Response
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.plain import PlainDatagrams

LARGE = hashlib.shake_128(b"large").digest(7000)


def digest(body: bytes) -> bytes:
    """An answer of the size that the request's first octet asks for, in thousands."""
    return hashlib.shake_128(body).digest(body[0] * 1000 + 20)


async def with_our_server(
    serve: Callable[[Request, Association], Response | Awaitable[Response]],
    ask: Callable[[aiocoap.Context, str], Awaitable[None]],
    settings: CoapSettings,
) -> None:
    node = CoapNode(PlainDatagrams(), serve=serve, settings=settings)
    host, port = node.open("127.0.0.1")
    client = await aiocoap.Context.create_client_context(transports=["udp6"])
    try:
        await ask(client, f"coap://{host}:{port}/gsma/rsp2/asn1?x=y")
    finally:
        await client.shutdown()
        await node.close()


@pytest.mark.parametrize("exponent", [6, 3])
@pytest.mark.parametrize("is_slow", [False, True])
def test_aiocoap_asks_our_server(exponent: int, is_slow: bool) -> None:
    seen: list[Request] = []

    async def later(body: bytes) -> Response:
        await asyncio.sleep(0)
        return Response(0x44, digest(body), 42)

    def serve(request: Request, _association: Association) -> Response | Awaitable[Response]:
        seen.append(request)
        return later(request.body) if is_slow else Response(0x44, digest(request.body), 42)

    async def ask(client: aiocoap.Context, uri: str) -> None:
        for body in (b"\0small", b"\x05large answer", b"\0" + LARGE, b"\x05" + LARGE):
            message = aiocoap.Message(code=aiocoap.POST, uri=uri, payload=body, content_format=42)
            answer = await client.request(message).response
            assert answer.code == aiocoap.CHANGED
            assert answer.payload == digest(body)
            assert answer.opt.content_format == 42
            assert seen.pop() == Request(
                path=("gsma", "rsp2", "asn1"), query=("x=y",), content_format=42, body=body
            )
            assert seen == []

    asyncio.run(with_our_server(serve, ask, CoapSettings(max_exponent=exponent, ack_delay_s=0.01)))


@pytest.fixture
def unused_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Digest(aiocoap.resource.Resource):  # type: ignore[misc]  # aiocoap carries no types
    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(code=aiocoap.CHANGED, payload=digest(request.payload), content_format=42)


@pytest.mark.parametrize("exponent", [6, 3])
def test_our_client_asks_aiocoap(exponent: int, unused_udp_port: int) -> None:
    async def run() -> None:
        site = aiocoap.resource.Site()
        site.add_resource(["gsma", "rsp2", "asn1"], Digest())
        server = await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", unused_udp_port), transports=["udp6"]
        )
        node = CoapNode(PlainDatagrams(), settings=CoapSettings(max_exponent=exponent, token_octets=4))
        node.open("127.0.0.1")
        try:
            for body in (b"\0small", b"\x05large answer", b"\0" + LARGE, b"\x05" + LARGE):
                request = Request(path=("gsma", "rsp2", "asn1"), content_format=42, body=body)
                answer = await node.ask(("127.0.0.1", unused_udp_port), request)
                assert answer == Response(0x44, digest(body), 42)
            nowhere = await node.ask(("127.0.0.1", unused_udp_port), Request(path=("nowhere",)))
            assert nowhere.code == 0x84
        finally:
            await node.close()
            await server.shutdown()

    asyncio.run(run())
