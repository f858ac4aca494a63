"""ESipa over CoAP on real sockets: a scripted eIM, a device that sleeps, moves and is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.e2e.coap_peers import NAME, papers

from keim.errors import Malformed, PeerError, Unreachable
from keim.io.datagram import SteadyClock
from keim.io.dtls_openssl import OpenSslConfig, OpenSslDatagrams
from keim.io.entropy import OsEntropy
from keim.io.esipa_coap import EsipaCoapClient, EsipaCoapServer, Peer
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import PreSharedKey
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Identity
from keim.wire.dtls.plain import PlainDatagrams
from keim.wire.dtls.sessions import SessionMemory
from keim.wire.dtls.trust import PinnedKeys
from keim.wire.esipa_coap import read_answer, write_request

FAST = CoapSettings(ack_timeout_s=0.05, ack_delay_s=0.02, max_retransmit=5)
PSK = PreSharedKey(b"openiotrsp", b"openiotrsp-secret")
TARGET = Target(server_name=NAME)
POLL = bytes.fromhex("BF4F125A1089044045930000000000001234567853")


def native(**more: Any) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(timeout_s=0.1, **more), entropy=OsEntropy())


def psk_of(identity: bytes) -> bytes | None:
    return PSK.key if identity == PSK.identity else None


CARRIERS: dict[str, tuple[Callable[[], Any], Callable[[], Any], Target]] = {
    "plain": (PlainDatagrams, PlainDatagrams, TARGET),
    "certificate": (
        lambda: native(credentials=(papers().credential("server"),)),
        lambda: native(trust=papers().anchors, cid_octets=0),
        TARGET,
    ),
    "raw key": (
        lambda: native(credentials=(papers().credential("server", is_raw=True),)),
        lambda: native(trust=PinnedKeys([papers().credential("server").spki]), cid_octets=0),
        Target(),
    ),
    "shared key": (lambda: native(find_psk=psk_of), lambda: native(cid_octets=0), Target(psk=PSK)),
    "openssl": (
        lambda: OpenSslDatagrams(
            OpenSslConfig(key=papers().keys["server"], chain=(papers().certificates["server"],))
        ),
        lambda: OpenSslDatagrams(OpenSslConfig(trust=papers().anchors)),
        TARGET,
    ),
}


class ScriptedEim:
    """Answers a message with as many octets as its last two say."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.identities: list[Identity] = []
        self.is_held: Callable[[], bool] = lambda: False

    async def __call__(self, message: bytes, peer: Peer) -> bytes:
        self.messages.append(message)
        self.identities.append(peer.identity)
        if message[:1] == b"\0":
            raise Malformed("no message of ESipa", offset=0)
        while self.is_held():
            await asyncio.sleep(0)
        return b"A" * int.from_bytes(message[-2:], "big")


@contextlib.asynccontextmanager
async def ends(
    server: Any, client: Any, target: Target, settings: CoapSettings = FAST
) -> AsyncIterator[tuple[EsipaCoapServer, ScriptedEim, EsipaCoapClient]]:
    eim = ScriptedEim()
    serving = EsipaCoapServer(server, eim, settings=settings)
    address = serving.node.open("127.0.0.1")
    asking = EsipaCoapClient(client, address, target, settings=settings)
    asking.node.open("127.0.0.1")
    try:
        yield serving, eim, asking
    finally:
        await asking.node.close()
        await serving.node.close()


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test, 20)

    asyncio.run(limited())


@pytest.mark.parametrize("carrier", CARRIERS)
def test_messages_of_all_sizes_travel_over_each_carrier(carrier: str) -> None:
    server, client, target = CARRIERS[carrier]

    async def test() -> None:
        async with ends(server(), client(), target) as (_, eim, asking):
            for octets in (0, 1, 400, 1025, 60_000):
                message = POLL + octets.to_bytes(2, "big")
                assert await asking.exchange(message) == b"A" * octets
                assert eim.messages.pop() == message
            large = b"\xbf" * 20_000 + b"\x00\x05"
            assert await asking.exchange(large) == b"AAAAA"
            assert eim.messages == [large]
            assert asking.handshakes == 1

    run(test())


def test_a_slow_answer_comes_by_itself() -> None:
    server, client, target = CARRIERS["certificate"]

    async def test() -> None:
        async with ends(server(), client(), target) as (serving, eim, asking):
            await asking.exchange(POLL + b"\0\1")
            sent = serving.node.socket.datagrams_out
            eim.messages.clear()
            eim.is_held = lambda: serving.node.socket.datagrams_out == sent  # until the empty acknowledgement
            assert await asking.exchange(POLL + b"\0\5", timeout_s=5.0) == b"AAAAA"
            assert len(eim.messages) == 1

    run(test())


def test_what_is_no_message_is_refused_as_such() -> None:
    server, client, target = CARRIERS["certificate"]

    async def test() -> None:
        async with ends(server(), client(), target) as (_, _eim, asking):
            with pytest.raises(PeerError) as caught:
                await asking.exchange(b"\0" + POLL)
            assert "4.00" in str(caught.value)

    run(test())


def test_the_eim_learns_whom_the_handshake_proved() -> None:
    _, client, target = CARRIERS["shared key"]

    async def test() -> None:
        async with ends(native(find_psk=psk_of), client(), target) as (_, eim, asking):
            await asking.exchange(POLL + b"\0\1")
            assert eim.identities == [Identity("psk", b"openiotrsp")]

    run(test())


def test_a_device_whose_socket_changes_goes_on_with_its_connection_id() -> None:
    _, client, target = CARRIERS["certificate"]
    server = native(credentials=(papers().credential("server"),), move_interval_s=0.0)

    async def test() -> None:
        async with ends(server, client(), target) as (_, eim, asking):
            for turn in range(3):
                if turn:
                    asking.node.socket.close()
                    asking.node.open("127.0.0.1")
                assert await asking.exchange(POLL + b"\0\1") == b"A"
            assert asking.handshakes == 1
            assert len(eim.messages) == 3

    run(test())


def test_a_device_that_was_forgotten_resumes_and_asks_again() -> None:
    sessions = SessionMemory()

    def fresh() -> DtlsEndpoint:
        config = DtlsConfig(credentials=(papers().credential("server"),), timeout_s=0.1)
        return DtlsEndpoint(config, entropy=OsEntropy(), sessions=sessions)

    _, client, target = CARRIERS["certificate"]

    async def test() -> None:
        async with ends(fresh(), client(), target) as (serving, eim, asking):
            assert await asking.exchange(POLL + b"\0\1") == b"A"
            serving.node.stack.lower = fresh()  # the server restarts without its associations
            assert await asking.exchange(POLL + b"\0\2") == b"AA"
            assert asking.handshakes == 2
            assert asking.association.is_resumed
            assert len(eim.messages) == 2

    run(test())


def test_associations_outlive_a_restart_by_snapshots() -> None:
    server, client, target = CARRIERS["certificate"]

    async def test() -> None:
        async with ends(server(), client(), target) as (serving, _eim, asking):
            assert await asking.exchange(POLL + b"\0\1") == b"A"
            lower = serving.node.stack.lower
            assert isinstance(lower, DtlsEndpoint)
            stored = lower.snapshots()
            after = server()
            for data in stored:
                after.restore(data, SteadyClock()())
            after.snapshots()
            serving.node.stack.lower = after
            assert await asking.exchange(POLL + b"\0\2") == b"AA"
            assert asking.handshakes == 1

    run(test())


def test_the_eim_injects_over_the_association_that_the_device_made() -> None:
    """bindings §11, transports §2: both ends ask and answer on one association."""
    server, client, target = CARRIERS["certificate"]

    async def test() -> None:
        eim, ipa = ScriptedEim(), ScriptedEim()
        serving = EsipaCoapServer(server(), eim, settings=FAST)
        address = serving.node.open("127.0.0.1")
        device = EsipaCoapServer(client(), ipa, settings=FAST)
        device.node.open("127.0.0.1")
        association = await device.node.connect(address, target)
        answer = await device.node.ask(association, write_request(POLL + b"\0\1"))
        assert read_answer(answer) == b"A"
        lower = serving.node.stack.lower
        assert isinstance(lower, DtlsEndpoint)
        [known] = lower._live
        package = b"\xbf\x4e" + bytes(5000) + b"\x0b\xb8"
        answer = await serving.node.ask(known, write_request(package))
        assert read_answer(answer) == b"A" * 3000
        assert ipa.messages == [package]
        await device.node.close()
        await serving.node.close()

    run(test())


def test_a_server_that_is_not_there_is_told_as_unreachable() -> None:
    target = CARRIERS["certificate"][2]

    async def test() -> None:
        lower = DtlsEndpoint(
            DtlsConfig(trust=papers().anchors, cid_octets=0, timeout_s=0.01, tries=3), entropy=OsEntropy()
        )
        asking = EsipaCoapClient(lower, ("127.0.0.1", 9), target)
        asking.node.open("127.0.0.1")
        with pytest.raises(Unreachable) as caught:
            await asking.exchange(POLL)
        assert caught.value.code == "dtls.timed_out"
        await asking.node.close()

    run(test())


def test_a_server_that_ends_answers_what_is_under_way_and_sends_others_away() -> None:
    server, client, target = CARRIERS["certificate"]

    async def test() -> None:
        async with ends(server(), client(), target) as (serving, eim, asking):
            assert await asking.exchange(POLL + b"\0\1") == b"A"
            is_ending = asyncio.Event()
            eim.is_held = lambda: not is_ending.is_set()
            first = asyncio.ensure_future(asking.exchange(POLL + b"\0\3", timeout_s=10.0))
            while len(eim.messages) < 2:
                await asyncio.sleep(0)
            draining = asyncio.ensure_future(serving.node.drain(10.0))
            await asyncio.sleep(0)
            other = EsipaCoapClient(client(), serving_address(serving), target, settings=FAST)
            other.node.open("127.0.0.1")
            refused = await other.ask(POLL + b"\0\2")
            assert (refused.code, refused.max_age_s) == (0xA3, 5)
            is_ending.set()
            assert await first == b"AAA"
            await draining
            await other.node.close()

    run(test())


def serving_address(serving: EsipaCoapServer) -> Any:
    bound = serving.node.socket._socket
    assert bound is not None
    return bound.getsockname()
