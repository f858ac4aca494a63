"""The eIM's end of MQTT without a broker: duplicates, order of PUBACKs, limits, trouble, injections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keim.der import tlv
from keim.errors import Malformed, PeerError, Refused, StoreFailed, TimedOut, Unreachable
from keim.ids import Eid
from keim.io.device_mqtt import MqttDevices
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_mqtt import EsipaMqttServer
from keim.io.mqtt import Delivery, MqttSettings, Taken
from keim.io.rate_limit import RateLimit
from keim.wire.esipa_mqtt import Publication, Topics

EID = Eid("89044045930000000000001234567853")
OTHER = Eid("89044045930000000000001234567952")
TOPICS = Topics()
NOTHING = bytes.fromhex("BF4F03020101")
PUSH = tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x81")))
RECEIVED = bytes.fromhex("BF4E020500")


def poll(eid: Eid = EID) -> bytes:
    return tlv(0xBF4F, tlv(0x5A, eid.octets))


RELAYED = tlv(0xBF39, tlv(0x81, bytes(16)))


class Uplink:
    """A broker's client that only remembers."""

    def __init__(self) -> None:
        self.published: list[Publication] = []
        self.acknowledged: list[int] = []
        self.subscriptions: list[str] = []
        self.trouble: Exception | None = None
        self.outcome: Any = "taken"
        self.is_ready = True
        self.connections = 1
        self.is_stopped = False

    def start(self) -> None:
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True

    def publish(self, publication: Publication, on_taken: Taken | None = None) -> object:
        if self.trouble is not None:
            raise self.trouble
        self.published.append(publication)
        if on_taken is not None:
            on_taken(self.outcome)
        return None

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(delivery.message_id)


class Field:
    """A server on an uplink of ours; `answer` is the eIM."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes | None]], **more: Any) -> None:
        self.uplink = Uplink()
        self.asked: list[bytes] = []
        self.observed: list[tuple[str, str]] = []
        by_eid = more.pop("by_eid", None)

        async def decide(message: bytes, _connection: str) -> bytes | None:
            self.asked.append(message)
            return await answer(message)

        def connect(_settings: MqttSettings, subscriptions: list[str], _hear: Any) -> Uplink:
            self.uplink.subscriptions = subscriptions
            return self.uplink

        self.server = EsipaMqttServer(
            MqttSettings(host="", port=0, client_id="x"),
            EsipaDoor(decide, by_eid=by_eid),
            entropy=OsEntropy(),
            observe=lambda function, outcome: self.observed.append((function, outcome)),
            connect=connect,
            **more,
        )
        self._number = 0

    def say(self, message: bytes, *, eid: Eid = EID, topic: str = "", **more: Any) -> int:
        self._number += 1
        publication = Publication(topic=topic or TOPICS.up(eid), payload=message, **more)
        self.server.take(publication, Delivery(1, self._number))
        return self._number

    async def settle(self) -> None:
        while self.server._tasks:
            await asyncio.sleep(0)


async def nothing(_message: bytes) -> bytes | None:
    return NOTHING


def run(test: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))  # type: ignore[arg-type]  # any awaitable


def test_an_answer_goes_down_with_the_correlation_and_is_acknowledged_after_it() -> None:
    async def test() -> None:
        field = Field(nothing)
        field.say(poll(), correlation=b"12345678")
        assert field.uplink.acknowledged == []
        await field.settle()
        (answer,) = field.uplink.published
        assert (answer.topic, answer.payload, answer.correlation) == (TOPICS.down(EID), NOTHING, b"12345678")
        assert field.uplink.acknowledged == [1]
        assert field.observed == [("getEimPackage", "answered")]

    run(test())


def test_a_repeated_request_is_answered_once_and_both_copies_are_acknowledged() -> None:
    async def test() -> None:
        field = Field(nothing)
        for eid in (EID, EID, OTHER):
            field.say(poll(eid), eid=eid, correlation=b"12345678")
        await field.settle()
        assert len(field.asked) == 2  # the same octets of another device are another request
        assert field.uplink.acknowledged == [1, 2, 3]
        assert field.server.refused == {"duplicate": 1}

    run(test())


def test_acknowledgements_keep_the_order_of_arrival_and_relayed_functions_hold_nobody_up() -> None:
    async def test() -> None:
        gates = {poll(): asyncio.Event(), RELAYED: asyncio.Event(), poll(OTHER): asyncio.Event()}

        async def answer(message: bytes) -> bytes:
            await gates[message].wait()
            return NOTHING

        field = Field(answer)
        field.say(RELAYED, correlation=b"relayed!")
        assert field.uplink.acknowledged == [1]
        field.say(poll())
        field.say(poll(OTHER), eid=OTHER)
        gates[poll(OTHER)].set()
        while len(field.uplink.published) < 1:
            await asyncio.sleep(0)
        assert field.uplink.acknowledged == [1]
        gates[poll()].set()
        while len(field.uplink.published) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert field.uplink.acknowledged == [1, 2, 3]
        gates[RELAYED].set()
        await field.settle()
        assert len(field.uplink.published) == 3

    run(test())


def test_a_store_that_cannot_keep_answers_nothing_and_the_same_request_may_come_again() -> None:
    async def test() -> None:
        troubles = [StoreFailed("disk full")]

        async def answer(_message: bytes) -> bytes:
            if troubles:
                raise troubles.pop()
            return NOTHING

        field = Field(answer)
        field.say(poll(), correlation=b"12345678")
        await field.settle()
        (status,) = field.uplink.published
        assert (status.payload, status.status) == (b"", "busy")
        field.say(poll(), correlation=b"12345678")
        await field.settle()
        assert field.uplink.published[1].payload == NOTHING

    run(test())


@pytest.mark.parametrize(
    "outcome", [None, Malformed("no message", offset=0), RuntimeError("a fault of ours")]
)
def test_what_is_not_answered_is_acknowledged_to_the_broker_and_to_nobody_else(outcome: Any) -> None:
    async def test() -> None:
        async def answer(_message: bytes) -> bytes | None:
            if outcome is None:
                return None
            raise outcome

        field = Field(answer)
        field.say(poll())
        await field.settle()
        assert field.uplink.published == []  # without correlation data an empty payload would be an answer
        assert field.uplink.acknowledged == [1]
        field.say(poll())
        await field.settle()
        assert field.uplink.acknowledged == [1, 2]

    run(test())


def test_foreign_oversized_and_retained_messages_reach_no_eim() -> None:
    async def test() -> None:
        field = Field(nothing, limit=100)
        field.say(poll(OTHER), correlation=b"12345678")
        field.say(poll() + bytes(200))
        field.say(poll(), is_retained=True)
        field.say(poll(), topic="esipa/v1/nobody/up", correlation=b"12345678")
        await field.settle()
        assert field.asked == []
        assert field.server.refused == {"foreign_eid": 1, "size": 1, "retained": 1, "topic": 1}
        assert [(one.topic, one.status) for one in field.uplink.published] == [(TOPICS.down(EID), "refused")]
        assert field.uplink.acknowledged == [1, 2, 3, 4]

    run(test())


def test_an_answer_that_its_device_has_given_up_is_not_sent() -> None:
    """Without correlation data it could pass for the answer to what is out now."""

    async def test() -> None:
        gate = asyncio.Event()

        async def answer(_message: bytes) -> bytes:
            await gate.wait()
            return NOTHING

        field = Field(answer)
        field.say(poll())
        field.say(poll())
        field.say(poll(OTHER), eid=OTHER)
        gate.set()
        await field.settle()
        assert [one.topic for one in field.uplink.published] == [TOPICS.down(EID), TOPICS.down(OTHER)]
        assert field.server.refused == {"late": 1}

    run(test())


def test_a_device_that_floods_is_told_to_wait_and_others_are_not() -> None:
    async def test() -> None:
        field = Field(nothing, by_eid=RateLimit(0.001, 2))
        for number in range(4):
            field.say(poll(), correlation=bytes((number,)) * 8)
        field.say(poll(OTHER), eid=OTHER)
        await field.settle()
        assert len(field.asked) == 3
        assert [one.status for one in field.uplink.published].count("busy") == 2

    run(test())


def test_an_answer_that_cannot_be_published_does_not_end_the_server() -> None:
    async def test() -> None:
        field = Field(nothing)
        field.uplink.trouble = Unreachable("full", code="mqtt.queue_full")
        field.say(poll())
        await field.settle()
        field.uplink.trouble = None
        field.say(poll())
        await field.settle()
        assert len(field.uplink.published) == 1
        assert field.server.refused == {"unpublished": 1}

    run(test())


def test_closing_waits_for_what_is_under_way() -> None:
    async def test() -> None:
        gate = asyncio.Event()

        async def answer(_message: bytes) -> bytes:
            await gate.wait()
            return NOTHING

        field = Field(answer)
        field.server.open()
        field.say(poll())
        closing = asyncio.ensure_future(field.server.close())
        await asyncio.sleep(0)
        assert not field.uplink.is_stopped
        gate.set()
        await closing
        assert field.uplink.is_stopped
        assert field.uplink.acknowledged == [1]

    run(test())


def test_workers_share_one_subscription_and_hear_answers_to_their_own_injections() -> None:
    assert Field(nothing).uplink.subscriptions == ["esipa/v1/+/up"]
    shared = Field(nothing, share="keim", instance="2").uplink.subscriptions
    assert shared == ["$share/keim/esipa/v1/+/up", "esipa/v1/+/up/2"]


def test_an_injected_package_is_answered_by_the_device_and_by_nobody_else() -> None:
    async def test() -> None:
        field = Field(nothing, instance="2", share="keim")
        pushing = asyncio.ensure_future(field.server.inject(EID, PUSH, timeout_s=10))
        await asyncio.sleep(0)
        (sent,) = field.uplink.published
        assert (sent.topic, sent.response_topic) == (TOPICS.down(EID), TOPICS.up(EID, "2"))
        field.say(RECEIVED, eid=OTHER, topic=TOPICS.up(OTHER, "2"), correlation=sent.correlation)
        field.say(RECEIVED, topic=sent.response_topic, correlation=b"another!")
        await asyncio.sleep(0)
        assert not pushing.done()
        with pytest.raises(Unreachable):
            await field.server.inject(EID, PUSH, timeout_s=10)
        field.say(RECEIVED, topic=sent.response_topic, correlation=sent.correlation)
        assert await pushing == RECEIVED
        assert field.server.refused == {"unasked": 2}

    run(test())


def test_a_busy_device_and_a_silent_one_are_told_apart() -> None:
    async def test() -> None:
        field = Field(nothing)
        pushing = asyncio.ensure_future(field.server.inject(EID, PUSH, timeout_s=10))
        await asyncio.sleep(0)
        field.say(b"", correlation=field.uplink.published[0].correlation, status="busy")
        with pytest.raises(PeerError):
            await pushing
        with pytest.raises(TimedOut):
            await field.server.inject(EID, PUSH, timeout_s=0)

    run(test())


def test_packages_are_pushed_to_addresses_that_name_an_eid() -> None:
    async def test() -> None:
        field = Field(nothing)
        devices = MqttDevices(field.server, timeout_s=5)
        for address, key in (("mqtt://nobody", b""), (f"mqtt://{EID}", b"a key")):
            with pytest.raises(Refused) as refused:
                await devices.reach(address, key)
            assert refused.value.code == "eim.bad_device_address"
        exchange = await devices.reach(f"mqtt://{EID}", b"")
        for status, payload in (("busy", b""), ("", RECEIVED)):
            pushing = asyncio.ensure_future(exchange.send(PUSH))
            await asyncio.sleep(0)
            field.say(payload, correlation=field.uplink.published[-1].correlation, status=status)
            if status:
                with pytest.raises(Unreachable) as busy:
                    await pushing
                assert busy.value.code == "eim.device_busy"
            else:
                assert await pushing == RECEIVED
        exchange.close()

    run(test())


@pytest.mark.parametrize(
    ("outcome", "code"), [("nobody", "mqtt.device_away"), ("refused", "mqtt.device_away")]
)
def test_nothing_is_signed_for_a_device_that_the_broker_does_not_know(outcome: str, code: str) -> None:
    async def test() -> None:
        field = Field(nothing)
        field.uplink.outcome = outcome
        with pytest.raises(Unreachable) as caught:
            await field.server.reach(EID, timeout_s=5)
        assert caught.value.code == code
        field.uplink.outcome = "taken"
        await field.server.reach(EID, timeout_s=5)
        field.uplink.is_ready = False
        with pytest.raises(Unreachable):
            await field.server.reach(EID, timeout_s=5)

    run(test())
