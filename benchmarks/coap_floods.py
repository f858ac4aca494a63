"""What many devices, strangers and movers do to a server of DTLS: the second part of `keim bench coap`."""

from __future__ import annotations

import asyncio
import resource
from time import perf_counter, process_time
from typing import Any, Final

from benchmarks.timing import sized
from keim.io.coap import CoapNode
from keim.io.entropy import OsEntropy
from keim.wire.coap.events import Request, Response
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import Credential
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.trust import Trust

DEVICES: Final = sized(1000, 10)
HALF_OPEN: Final = sized(10_000, 20)
SERVER: Final = ("192.0.2.1", 5684)
NOW: Final = 1_800_000_000.0


def server_of(credential: Credential, **more: Any) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(credentials=(credential,), **more), entropy=OsEntropy())


def client_of(trust: Trust) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(trust=trust, cid_octets=0), entropy=OsEntropy())


def open_files_for(sockets: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(sockets + 200, hard)), hard))


async def thousand_at_once(credential: Credential, trust: Trust) -> dict[str, float]:
    """Devices with sockets of their own that all begin in one moment; both ends' CPU is in the seconds."""
    open_files_for(DEVICES)
    served = CoapNode(server_of(credential), serve=lambda request, _: Response(0x44, request.body, 42))
    _, port = served.open("127.0.0.1")

    async def device() -> bool:
        node = CoapNode(client_of(trust), settings=CoapSettings(ack_timeout_s=3.0))
        node.open("127.0.0.1")
        try:
            association = await node.connect(("127.0.0.1", port), Target())
            return (await node.ask(association, Request(path=("a",), body=b"x"))).body == b"x"
        finally:
            await node.close()

    start = perf_counter()
    answered = sum(await asyncio.gather(*(device() for _ in range(DEVICES)), return_exceptions=False))
    seconds = perf_counter() - start
    await served.close()
    return {"devices": DEVICES, "lost": DEVICES - answered, "seconds": seconds}


def half_open(credential: Credential, trust: Trust) -> dict[str, float]:
    """Peers with right cookies that never finish; then one that does."""
    server = server_of(credential)
    hello, answer, kept = 0, 0, 0
    start = process_time()
    for number in range(HALF_OPEN):
        address = (f"198.51.{number >> 8}.{number & 255}", 5000)
        client = client_of(trust)
        client.connect(SERVER, NOW, Target())
        [(first, _)] = client.datagrams_to_send()
        server.receive(first, address, NOW)
        [(cookie, _)] = server.datagrams_to_send()
        hello, answer = hello + len(first), answer + len(cookie)
        client.receive(cookie, SERVER, NOW)
        for data, _ in client.datagrams_to_send():
            server.receive(data, address, NOW)
        server.datagrams_to_send()
        kept = max(kept, server.half_open)
    seconds = process_time() - start
    good, address = client_of(trust), ("203.0.113.1", 5000)
    association = good.connect(SERVER, NOW, Target())
    while waiting := good.datagrams_to_send():
        for data, _ in waiting:
            server.receive(data, address, NOW)
        for data, _ in server.datagrams_to_send():
            good.receive(data, SERVER, NOW)
    return {
        "begun": HALF_OPEN,
        "kept at most": kept,
        "ms each, both ends": seconds / HALF_OPEN * 1000,
        "answer / hello of a stranger": answer / hello,
        "a good one came in": float(good.is_up(association)),
    }


def moves(credential: Credential, trust: Trust) -> dict[str, float]:
    """A device that speaks from a new address each time: datagrams up, and octets to an unproved address."""
    server, client = server_of(credential), client_of(trust)
    association = client.connect(SERVER, NOW, Target())
    while waiting := client.datagrams_to_send():
        for data, _ in waiting:
            server.receive(data, ("198.51.100.1", 1), NOW)
        for data, _ in server.datagrams_to_send():
            client.receive(data, SERVER, NOW)
    [served] = server._live
    sent, came, went = 0, 0, 0
    for number in range(100):
        now, address = NOW + 10 * (number + 1), ("203.0.113.1", 1000 + number)
        client.send(association, b"x" * 300, now)
        [(data, _)] = client.datagrams_to_send()
        server.receive(data, address, now)
        for _ in range(20):
            server.send(served, b"y" * 400, now)
        answers = server.datagrams_to_send()
        sent, came, went = sent + 1, came + len(data), went + sum(len(one) for one, _ in answers)
    return {
        "moves": 100,
        "datagrams up each": sent / 100,
        "octets to the new address / octets from it": went / came,
    }


def floods(credential: Credential, trust: Trust) -> dict[str, dict[str, float]]:
    return {
        "1,000 handshakes at once on one socket": asyncio.run(thousand_at_once(credential, trust)),
        "10,000 half-open handshakes": half_open(credential, trust),
        "a new address each time": moves(credential, trust),
    }
