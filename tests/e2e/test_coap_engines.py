"""The two DTLS engines against each other, in both roles, on a link in virtual time and on real sockets."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.e2e.coap_peers import NAME, Served, digest, papers
from tests.unit.coap.lossy import Link, SeededEntropy

from keim.io.coap import CoapNode
from keim.io.datagram import SteadyClock
from keim.io.dtls_openssl import SUITES, OpenSslConfig, OpenSslDatagrams
from keim.io.entropy import OsEntropy
from keim.wire.coap.events import Request, Response
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Data, Down, Up
from keim.wire.dtls.records import clear_record
from keim.wire.dtls.trust import Anchors

SERVER, DEVICE = ("192.0.2.1", 5684), ("198.51.100.1", 40000)
TARGET = Target(server_name=NAME)


def native(who: str, *, proof: Any = "none", trust: Any = None, **more: Any) -> DtlsEndpoint:
    config = DtlsConfig(
        credentials=(papers().credential(who),), trust=trust or papers().anchors, client_proof=proof,
        cid_octets=8 if who == "server" else 0, **more,
    )  # fmt: skip
    return DtlsEndpoint(config, entropy=OsEntropy())


def openssl(who: str, *, proof: Any = "none", trust: Any = None, **more: Any) -> OpenSslDatagrams:
    return OpenSslDatagrams(
        OpenSslConfig(
            key=papers().keys[who], chain=(papers().certificates[who],), trust=trust or papers().anchors,
            client_proof=proof, **more,
        )
    )  # fmt: skip


ENGINES = {"native": native, "openssl": openssl}
PAIRS = [("native", "openssl"), ("openssl", "native"), ("openssl", "openssl")]


class Ends:
    def __init__(self, server: Any, client: Any, *, link: Link | None = None) -> None:
        self.link = link or Link()
        self.link.now = SteadyClock()()
        self.server, self.client = server, client
        self.link.join(SERVER, server)
        self.link.join(DEVICE, client)
        self.link.on_event = self._on_event

    def _on_event(self, address: Any, event: Any, now: float) -> None:
        if address == SERVER and isinstance(event, Data):
            self.server.send(event.association, event.data.upper(), now)

    def connect(self, target: Target = TARGET) -> Any:
        association = self.client.connect(SERVER, self.link.now, target)
        self.link.run(60.0, lambda: self.client.is_up(association) or bool(self.link.seen(Down, DEVICE)))
        return association

    def echo(self, association: Any) -> bool:
        for _ in range(8):
            before = len(self.link.seen(Data, DEVICE))
            self.client.send(association, b"hello", self.link.now)
            self.link.run(0.2)
            answers = self.link.seen(Data, DEVICE)[before:]
            if answers:
                return bool(answers[-1].data == b"HELLO")
        return False


@pytest.mark.parametrize(("server", "client"), PAIRS)
@pytest.mark.parametrize("cipher", SUITES)
@pytest.mark.parametrize("proof", ["none", "required"])
def test_the_engines_understand_each_other(server: str, client: str, cipher: str, proof: str) -> None:
    more = {"ciphers": (cipher,)} if "openssl" in (server, client) else {}
    ends = Ends(
        ENGINES[server]("server", proof=proof, **(more if server == "openssl" else {})),
        ENGINES[client]("device", **(more if client == "openssl" else {})),
    )
    association = ends.connect()
    ends.link.run(0.2)
    [up] = ends.link.seen(Up, SERVER)
    [own] = ends.link.seen(Up, DEVICE)
    assert up.suite == own.suite == SUITES[cipher]
    assert own.identity.name == NAME
    assert up.identity.kind == ("nobody" if proof == "none" else "certificate")
    assert ends.echo(association)


@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_sessions_are_resumed_across_engines(server: str, client: str) -> None:
    ends = Ends(ENGINES[server]("server"), ENGINES[client]("device"))
    first = ends.connect()
    assert ends.echo(first)
    session = first.session
    assert session is not None
    for event in ends.client.close(first, ends.link.now):
        assert event.reason == "closed"
    ends.link.run(1.0)
    again = ends.connect(Target(server_name=NAME, session=session))
    assert ends.echo(again)
    assert [up.is_resumed for up in ends.link.seen(Up, SERVER)] == [False, True]


@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_closing_is_told_across_engines(server: str, client: str) -> None:
    ends = Ends(ENGINES[server]("server"), ENGINES[client]("device"))
    association = ends.connect()
    assert ends.echo(association)
    ends.client.close(association, ends.link.now)
    ends.link.run(1.0)
    assert [event.reason for event in ends.link.seen(Down, SERVER)] == ["closed"]
    assert ends.server.associations == 0


@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_a_server_that_is_not_trusted_is_left(server: str, client: str) -> None:
    ends = Ends(ENGINES[server]("server"), ENGINES[client]("device", trust=Anchors([])))
    ends.connect()
    [down] = ends.link.seen(Down, DEVICE)
    assert down.reason == "dtls.untrusted"
    assert ends.link.seen(Up, DEVICE) == []


@pytest.mark.parametrize(("server", "client"), PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_the_engines_bear_doubled_datagrams(server: str, client: str, seed: int) -> None:
    """OpenSSL's timers follow the real clock, so nothing that needs them is lost here in virtual time."""
    link = Link(seed, duplication=0.3)
    ends = Ends(ENGINES[server]("server"), ENGINES[client]("device"), link=link)
    association = ends.connect()
    assert ends.echo(association)


def test_half_open_handshakes_are_bounded_at_the_openssl_engine_and_a_good_client_still_comes_in() -> None:
    server = openssl("server", half_open=20)
    now = SteadyClock()()
    for number in range(200):
        address = ("198.51.100.9", number)
        client = DtlsEndpoint(DtlsConfig(trust=papers().anchors, cid_octets=0), entropy=SeededEntropy(number))
        client.connect(SERVER, now, TARGET)
        for _ in range(2):  # the hello, and the one with the cookie
            for data, _ in client.datagrams_to_send():
                server.receive(data, address, now)
            for data, _ in server.datagrams_to_send():
                client.receive(data, SERVER, now)
        assert server.half_open <= 20
    assert server.half_open == 20
    ends = Ends(server, native("device"))
    assert ends.echo(ends.connect())


def test_hellos_without_cookie_leave_nothing_at_the_openssl_engine() -> None:
    server = openssl("server")
    client = DtlsEndpoint(DtlsConfig(trust=papers().anchors, cid_octets=0), entropy=SeededEntropy(1))
    now = SteadyClock()()
    client.connect(SERVER, now, TARGET)
    [(hello, _)] = client.datagrams_to_send()
    for number in range(2000):
        assert server.receive(hello, ("198.51.100.9", number), now) == []
    assert server.half_open == server.associations == 0
    sent = server.datagrams_to_send()
    assert sum(len(data) for data, _ in sent) < 2000 * len(hello)


@pytest.mark.parametrize("server", ["native", "openssl"])
def test_garbage_ends_nothing(server: str) -> None:
    ends = Ends(ENGINES[server]("server"), native("device"))
    association = ends.connect()
    assert ends.echo(association)
    chance = random.Random(5)
    for turn in range(500):
        ends.link.post(chance.randbytes(turn % 100), DEVICE, SERVER)
        ends.link.post(b"\x17\xfe\xfd\0\1" + chance.randbytes(40), DEVICE, SERVER)
    for alert in (b"\x02\x28", b"\x01\x00"):
        ends.link.post(clear_record(21, 9, alert), DEVICE, SERVER)
    ends.link.run(1.0)
    assert ends.echo(association)


@pytest.mark.parametrize("server", ["native", "openssl"])
def test_a_device_that_asks_for_short_records_gets_blocks_that_fit(server: str) -> None:
    """Though its request says nothing of blocks, as that of a foreign device."""

    async def run() -> None:
        served = Served(ENGINES[server]("server"))
        _, port = served.open("127.0.0.1")
        node = CoapNode(native("device", max_fragment_length=512))
        node.stack.coap.fit_into(lambda _association: 1 << 14)
        node.open("127.0.0.1")
        association = await asyncio.wait_for(node.connect(("127.0.0.1", port), TARGET), 10)
        answer = await node.ask(association, Request(path=("gsma",), content_format=42, body=b"short"))
        assert answer == Response(0x44, digest(b"short"), 42)
        await node.close()
        await served.close()

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize(("server", "client"), [*PAIRS, ("native", "native")])
def test_coap_runs_over_both_engines_on_real_sockets(server: str, client: str) -> None:
    body = bytes(range(256)) * 10

    async def run() -> None:
        served = Served(ENGINES[server]("server"))
        _, port = served.open("127.0.0.1")
        node = CoapNode(ENGINES[client]("device"))
        node.open("127.0.0.1")
        association = await asyncio.wait_for(node.connect(("127.0.0.1", port), TARGET), 10)
        answer = await node.ask(association, Request(path=("gsma",), content_format=42, body=body))
        assert answer == Response(0x44, digest(body), 42)
        await node.close()
        await served.close()

    asyncio.run(run())
