"""ESipa over LwM2M on real sockets: a scripted eIM, our client and server, with and without DTLS."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.bindings.test_esipa_coap import FAST, native
from tests.e2e.coap_peers import NAME, papers
from tests.unit.dtls.lab import make_certificate, new_key

from keim.der import tlv
from keim.errors import KeimError, PeerError, StoreFailed, TimedOut, Unreachable
from keim.ids import Eid
from keim.io.coap import CoapNode
from keim.io.device_lwm2m import Lwm2mDevices
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.ipa_lwm2m import Lwm2mCarrier, Way
from keim.io.lwm2m_client import Lwm2mClient
from keim.io.lwm2m_server import Lwm2mServer
from keim.ipa.trust import EimPeer
from keim.wire import lwm2m
from keim.wire.coap import numbers
from keim.wire.coap.events import Request, Response
from keim.wire.dtls.config import Target
from keim.wire.dtls.credentials import Credential, PreSharedKey, credential_of
from keim.wire.dtls.plain import PlainDatagrams
from keim.wire.dtls.trust import Anchors
from keim.wire.esipa_lwm2m import clear, read, write_message
from keim.wire.lwm2m import Registration
from keim.wire.lwm2m_registry import Entry
from keim.wire.lwm2m_send import write_send

EID = Eid("89044045930000000000001234567853")
OTHER = Eid("89044045930000000000001234567952")
POLL = tlv(0xBF4F, tlv(0x5A, EID.octets))
NOTHING = bytes.fromhex("BF4F03020101")
NOTE = tlv(0xBF3D, tlv(0xA0, tlv(0x30)))
PUSH = tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x81")))
RECEIVED = bytes.fromhex("BF4E020500")
KEYS = {eid: bytes(range(number, number + 16)) for number, eid in enumerate((EID, OTHER))}


def find_psk(identity: bytes) -> bytes | None:
    return KEYS.get(Eid(identity.decode()))


CARRIERS: dict[str, tuple[Callable[[], Any], Callable[[], Any], Target]] = {
    "plain": (PlainDatagrams, PlainDatagrams, Target()),
    "shared key": (
        lambda: native(find_psk=find_psk),
        lambda: native(cid_octets=0),
        Target(psk=PreSharedKey(EID.encode(), KEYS[EID])),
    ),
}


class Field:
    """An eIM that answers by `answer`, and one device."""

    def __init__(self, carrier: str = "plain", *, takes: bool = False, **more: Any) -> None:
        lower, device, self.target = CARRIERS[carrier]
        self.asked: list[bytes] = []
        self.answer: Callable[[bytes], bytes | None] = lambda message: NOTHING

        async def decide(message: bytes, _connection: str) -> bytes | None:
            self.asked.append(message)
            return self.answer(message)

        self.server = Lwm2mServer(
            lower(),
            EsipaDoor(decide),
            entropy=OsEntropy(),
            needs_proof=carrier != "plain",
            settings=FAST,
        )
        self.injected: list[bytes] = []
        self._device, self._takes = device, takes
        self.registration = Registration(endpoint=f"urn:eid:{EID}", version="1.1", **more)

    def client(self, **more: Any) -> Lwm2mClient:
        given = {"target": self.target, "registration": self.registration, **more}
        return Lwm2mClient(
            given["lower"] if "lower" in given else self._device(),
            self.address,
            given["target"],
            given["registration"],
            on_injected=self._take if self._takes else None,
            settings=FAST,
        )

    def _take(self, message: bytes) -> None:
        self.injected.append(message)
        self.replying = asyncio.ensure_future(self.device.reply(RECEIVED, 5))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Lwm2mClient]:
        self.address = self.server.open("127.0.0.1")
        self.device = self.client()
        self.device.open("127.0.0.1")
        try:
            yield self.device
        finally:
            await self.device.close()
            await self.server.close()


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test, 20)

    asyncio.run(limited())


@pytest.mark.parametrize("carrier", CARRIERS)
def test_messages_of_all_sizes_travel_through_object_3443(carrier: str) -> None:
    async def test() -> None:
        field = Field(carrier)
        async with field.running() as device:
            assert await device.exchange(POLL, 10) == NOTHING
            for octets in (1, 1000, 1025, 60_000):
                result = tlv(0xBF50, tlv(0x5A, EID.octets), tlv(0xBF51, bytes(octets)))
                reply = tlv(0xBF50, tlv(0x30, bytes(octets)))
                field.answer = lambda _message, reply=reply: reply  # type: ignore[misc]  # of this turn
                assert await device.exchange(result, 10) == reply
                assert field.asked[-1] == result
            field.answer = lambda _message: b""
            assert await device.exchange(NOTE, 10) == b""
            assert len(field.server.registry) == 1
        assert len(field.server.registry) == 0  # the device said goodbye

    run(test())


@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_eim_pushes_to_a_registered_device(carrier: str) -> None:
    async def test() -> None:
        field = Field(carrier, takes=True)
        async with field.running() as device:
            await device.register()
            exchange = await Lwm2mDevices(field.server, timeout_s=5).reach(f"lwm2m://{EID}", b"")
            for number in range(3):
                assert await exchange.send(PUSH) == RECEIVED
                assert await field.replying  # the server said that it has the answer
                assert len(field.injected) == number + 1
            assert await device.exchange(POLL, 10) == NOTHING

    run(test())


def test_a_device_that_nobody_serves_is_busy_and_one_that_is_away_is_not_reached() -> None:
    async def test() -> None:
        field = Field()
        devices = Lwm2mDevices(field.server, timeout_s=5)
        async with field.running() as device:
            with pytest.raises(Unreachable) as caught:
                await devices.reach(f"lwm2m://{OTHER}", b"")
            assert caught.value.code == "lwm2m.not_registered"
            await device.register()
            with pytest.raises(Unreachable) as caught:
                await (await devices.reach(f"lwm2m://{EID}", b"")).send(PUSH)
            assert caught.value.code == "eim.device_busy"
            for address, key in ((f"lwm2m://{EID}", b"x"), ("lwm2m://nobody", b"")):
                with pytest.raises(KeimError) as refused:
                    await devices.reach(address, key)
                assert refused.value.code == "eim.bad_device_address"

    run(test())


def test_a_device_in_queue_mode_is_left_alone_while_it_sleeps() -> None:
    async def test() -> None:
        field = Field(takes=True, is_queued=True)
        async with field.running() as device:
            await device.exchange(POLL, 10)
            entry = field.server.reach(EID)
            entry.heard_at -= lwm2m.AWAKE_S
            with pytest.raises(Unreachable) as caught:
                await field.server.inject(EID, PUSH, timeout_s=5)
            assert caught.value.code == "lwm2m.asleep"
            await device.exchange(POLL, 10)
            assert await field.server.inject(EID, PUSH, timeout_s=5) == RECEIVED

    run(test())


def test_nothing_is_answered_that_the_eim_does_not_keep() -> None:
    async def test() -> None:
        field = Field()

        def fail(_message: bytes) -> bytes:
            raise StoreFailed("disk full")

        async with field.running() as device:
            for answer in (fail, lambda _message: None):
                field.answer = answer
                with pytest.raises(TimedOut):
                    await device.exchange(NOTE, 0.3)
            field.answer = lambda _message: b""
            assert await device.exchange(NOTE, 10) == b""

    run(test())


def test_who_proves_to_be_another_device_is_not_registered() -> None:
    async def test() -> None:
        field = Field("shared key")
        async with field.running() as device:
            await device.register()
            location = device._location
            other = field.client(target=Target(psk=PreSharedKey(OTHER.encode(), KEYS[OTHER])))
            other.node.open("127.0.0.1")
            with pytest.raises(PeerError) as caught:
                await other.register()
            assert caught.value.code == "lwm2m.registration_refused"
            assert field.server.refused["proof"] == 1
            for request in (lwm2m.write_update(location), lwm2m.write_deregister(location)):
                answer = await other.node.ask(other._association, request)
                assert answer.code == numbers.NOT_FOUND
            assert field.server.registry.of(EID) is not None
            await other.close(says_goodbye=False)

    run(test())


def test_nobody_registers_without_a_proof_where_one_is_needed() -> None:
    async def test() -> None:
        field = Field()
        field.server._needs_proof = True
        async with field.running() as device:
            with pytest.raises(PeerError):
                await device.register()

    run(test())


def test_a_certificate_is_a_proof_for_the_device_that_it_names() -> None:
    async def test() -> None:
        field = Field("shared key")
        trusting = native(
            credentials=(papers().credential("server"),), client_proof="required", trust=authority().anchors
        )
        field.server = Lwm2mServer(trusting, field.server._door, entropy=OsEntropy(), settings=FAST)
        field.address = field.server.open("127.0.0.1")
        for name, is_taken in ((EID, True), (f"urn:eid:{EID}", True), ("device.example.com", False)):
            lower = native(trust=papers().anchors, cid_octets=0, credentials=(authority().of(name),))
            device = field.client(lower=lower, target=Target(server_name=NAME))
            device.node.open("127.0.0.1")
            if is_taken:
                assert await device.exchange(POLL, 10) == NOTHING
            else:
                with pytest.raises(PeerError):
                    await device.register()
            await device.close()
        assert field.server.refused["proof"] == 1
        await field.server.close()

    run(test())


class Authority:
    """Issues certificates to devices."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC) - timedelta(days=1)
        self._key = new_key()
        self._root = make_certificate("devices", self._key, None, is_authority=True, start=self._start)
        self.anchors = Anchors([self._root])

    def of(self, name: str) -> Credential:
        key = new_key()
        issued = make_certificate(name, key, (self._root, self._key), start=self._start, dns=())
        return credential_of(key, [issued.public_bytes(Encoding.DER)])


@cache
def authority() -> Authority:
    return Authority()


def test_a_card_with_another_eid_is_forgotten_at_once() -> None:
    async def test() -> None:
        field = Field()
        field.address = field.server.open("127.0.0.1")
        device = field.client()
        device.object._eid = OTHER
        device.open("127.0.0.1")
        await device.register()
        while field.server.refused["foreign_eid"] == 0:
            await asyncio.sleep(0)
        assert field.server.registry.of(EID) is None
        await device.close()
        await field.server.close()

    run(test())


def test_a_message_about_another_card_reaches_no_eim() -> None:
    async def test() -> None:
        field = Field()
        async with field.running() as device:
            with pytest.raises(TimedOut):
                await device.exchange(tlv(0xBF4F, tlv(0x5A, OTHER.octets)), 0.3)
            assert field.asked == []
            assert field.server.refused["foreign_eid"] == 1

    run(test())


def test_a_server_that_restarts_is_told_again() -> None:
    async def test() -> None:
        field = Field("shared key")
        async with field.running() as device:
            assert await device.exchange(POLL, 10) == NOTHING
            await field.server.close()
            before = field.server
            field.server = Lwm2mServer(
                native(find_psk=find_psk), before._door, entropy=OsEntropy(), settings=FAST
            )
            field.server.open(*field.address)
            with contextlib.suppress(TimedOut, Unreachable):  # the association has to prove dead first
                await device.exchange(POLL, 5)
            assert await device.exchange(POLL, 10) == NOTHING

    run(test())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request(path=("nowhere",)), numbers.NOT_FOUND),
        (Request(path=("rd", "unknown")), numbers.NOT_FOUND),
        (Request(path=("rd", "a", "b")), numbers.NOT_FOUND),
        (Request(method=numbers.GET, path=("rd",)), numbers.METHOD_NOT_ALLOWED),
        (Request(path=("rd",), query=("ep=device-7", "lwm2m=1.0"), body=b"</3443/0>"), 0x80),
        (Request(path=("rd",), query=(f"ep=urn:eid:{EID}", "lwm2m=1.0"), body=b"</3/0>"), 0x80),
    ],
)
def test_what_is_no_registration_is_refused(request_: Request, code: int) -> None:
    async def test() -> None:
        field = Field()
        async with field.running() as device:
            answer = await device.node.ask(field.address, request_)
            assert answer.code == code

    run(test())


def test_a_server_that_does_not_observe_is_told_by_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keim.io.lwm2m_client.OBSERVED_WITHIN_S", 0.05)

    async def test() -> None:
        field = Field()

        async def greet(_entry: Entry) -> None:
            """It registers devices and looks at nothing."""

        field.server._welcome = greet  # type: ignore[method-assign]  # another kind of server
        async with field.running() as device:
            assert await device.exchange(POLL, 10) == NOTHING
            long = tlv(0xBF50, tlv(0x5A, EID.octets), tlv(0xBF51, bytes(5000)))
            field.answer = lambda _message: tlv(0xBF50, tlv(0x30))
            assert await device.exchange(long, 10) == tlv(0xBF50, tlv(0x30))
            assert field.asked == [POLL, long]
            for request, code in (
                (write_send(POLL), numbers.NOT_FOUND),
                (Request(path=("dp",), content_format=50), numbers.NOT_FOUND),
            ):
                stranger = CoapNode(PlainDatagrams(), settings=FAST)
                stranger.open("127.0.0.1")
                assert (await stranger.ask(field.address, request)).code == code
                await stranger.close()
            for request, code in (
                (Request(path=("dp",), content_format=112, body=b"\xff"), numbers.BAD_REQUEST),
                (Request(path=("dp",), content_format=50), numbers.UNSUPPORTED_CONTENT_FORMAT),
                (Request(method=numbers.GET, path=("dp",)), numbers.METHOD_NOT_ALLOWED),
            ):
                assert (await device.node.ask(field.address, request)).code == code
            assert field.asked == [POLL, long]

    run(test())


def test_a_server_that_takes_no_send_either_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keim.io.lwm2m_client.OBSERVED_WITHIN_S", 0.05)

    async def test() -> None:
        field = Field()

        async def greet(_entry: Entry) -> None:
            """It registers devices and looks at nothing."""

        field.server._welcome = greet  # type: ignore[method-assign]  # another kind of server
        field.server._sent = lambda _request, _association: Response(numbers.NOT_FOUND)  # type: ignore[method-assign]  # as above
        async with field.running() as device:
            with pytest.raises(PeerError) as caught:
                await device.exchange(POLL, 10)
            assert caught.value.code == "lwm2m.not_observed"

    run(test())


def test_a_registration_is_renewed_before_it_ends_and_is_forgotten_after_it() -> None:
    async def test() -> None:
        field = Field(lifetime_s=1)
        async with field.running() as device:
            await device.exchange(POLL, 10)
            entry = field.server.reach(EID)
            heard_at = entry.heard_at
            while entry.heard_at == heard_at:
                await asyncio.sleep(0)
            assert field.server.reach(EID) is entry
            assert entry.heard_at - heard_at < 1
            assert field.server.registry.expire(entry.heard_at + 1) == [entry]
            await device._refresh()  # it is not known any more, and registers anew
            assert field.server.reach(EID) is not entry
            assert await device.exchange(POLL, 10) == NOTHING

    run(test())


def test_a_daemon_without_a_network_goes_on_and_connects_when_it_is_asked() -> None:
    """After a switch of profiles the old connection ends at once, and there may be no way to make another."""
    ways: list[Exception | Way] = []

    def way(_peer: EimPeer) -> Way:
        found = ways.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def test() -> None:
        field = Field()
        address = field.server.open("127.0.0.1")
        carrier = Lwm2mCarrier(
            "eim.example.com",
            way,
            lifetime_s=300,
            settings=FAST,
            commands=queue.SimpleQueue(),  # type: ignore[arg-type]  # only put into
        )
        peer = EimPeer("eim.example.com", "eim.example.com", eid=EID)
        ways[:] = [
            Way(PlainDatagrams(), address, Target()),
            Unreachable("no network"),
            Unreachable("still none"),
            Way(PlainDatagrams(), address, Target()),
        ]
        assert await asyncio.to_thread(carrier.call_eim, peer, POLL, 10) == NOTHING
        await asyncio.to_thread(carrier.close)
        with pytest.raises(Unreachable):
            await asyncio.to_thread(carrier.call_eim, peer, POLL, 10)
        assert await asyncio.to_thread(carrier.call_eim, peer, POLL, 10) == NOTHING
        await asyncio.to_thread(carrier.end)
        assert len(field.server.registry) == 0
        await field.server.close()

    run(test())


def test_nobody_but_its_server_uses_a_device() -> None:
    async def test() -> None:
        field = Field(takes=True)
        async with field.running() as device:
            await device.exchange(POLL, 10)
            stranger = CoapNode(PlainDatagrams(), settings=FAST)
            stranger.open("127.0.0.1")
            bound = device.node.socket._socket
            assert bound is not None
            for request in (write_message(PUSH), read(lwm2m.EID), clear()):
                answer = await stranger.ask(bound.getsockname(), request)
                assert answer.code == numbers.FORBIDDEN
            assert field.injected == []
            await stranger.close()

    run(test())


def test_a_full_server_takes_nobody_else_and_says_when_to_come_again() -> None:
    async def test() -> None:
        field = Field()
        field.server.registry._most = 0
        async with field.running() as device:
            answer = await device.node.ask(field.address, lwm2m.write_register(field.registration))
            assert (answer.code, answer.max_age_s) == (numbers.SERVICE_UNAVAILABLE, 60)

    run(test())
