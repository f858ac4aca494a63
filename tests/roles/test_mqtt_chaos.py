"""A device and an eIM on a bad broker: nothing that is lost, doubled or late passes for something else.

The eIM keeps what it is told and acknowledges just that; nothing may count as delivered that it has not kept.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush

import pytest

from keim.der import tlv
from keim.ids import Eid
from keim.wire.esipa_mqtt import Asked, Publication, Topics, read_up, write_answer
from keim.wire.mqtt_dialogue import Answered, Dialogue

EID = Eid("89044045930000000000001234567853")
TOPICS = Topics()
PATIENCE = 12
NOTHING = bytes.fromhex("BF4F03020101")


def poll() -> bytes:
    return tlv(0xBF4F, tlv(0x5A, EID.octets))


def result(number: int) -> bytes:
    signed = tlv(0x30, tlv(0x83, bytes((number,))))
    return tlv(0xBF50, tlv(0x5A, EID.octets), tlv(0xBF51, tlv(0xA0, signed)))


def notification(number: int) -> bytes:
    return tlv(0xBF3D, tlv(0xA0, tlv(0x30, tlv(0x80, bytes((number,))))))


class BadBroker:
    """Publications arrive late, twice, in another order, or never; steps are the time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self._flying: list[tuple[int, int, Publication]] = []
        self._count = 0

    def publish(self, publication: Publication) -> None:
        if self.random.random() < 0.15:
            return
        for _ in range(2 if self.random.random() < 0.25 else 1):
            self._count += 1
            late = self.random.choice((1, 1, 2, 3, 8, 20))
            heappush(self._flying, (self.now + late, self._count, publication))

    def step(self) -> list[Publication]:
        self.now += 1
        arrived = []
        while self._flying and self._flying[0][0] <= self.now:
            arrived.append(heappop(self._flying)[2])
        return arrived


class KeepingEim:
    def __init__(self, broker: BadBroker) -> None:
        self._broker = broker
        self.kept: set[bytes] = set()

    def hear(self, publication: Publication) -> None:
        asked = read_up(publication, TOPICS)
        assert isinstance(asked, Asked)
        self.kept.add(asked.message)
        answers = {b"\xbf\x4f": NOTHING, b"\xbf\x3d": b""}
        answer = answers.get(asked.message[:2])
        if answer is None:
            answer = tlv(0xBF50, tlv(0xBF53, tlv(0x80, asked.message[-1:])))
        self._broker.publish(write_answer(TOPICS, asked, answer, expiry_s=30))


@pytest.mark.parametrize("is_version_5", [True, False], ids=["5", "3.1.1"])
@pytest.mark.parametrize("seed", range(40))
def test_nothing_counts_as_delivered_that_the_eim_has_not_kept(seed: int, is_version_5: bool) -> None:
    broker = BadBroker(seed)
    eim = KeepingEim(broker)
    device = Dialogue(TOPICS, EID, is_version_5=is_version_5)
    delivered = 0
    for number in range(60):
        message = broker.random.choice((poll(), result(number), notification(number)))
        correlation = broker.random.randbytes(8) if is_version_5 else b""
        broker.publish(device.ask(message, correlation, expiry_s=30))
        for _ in range(PATIENCE):
            heard: object = None
            for publication in broker.step():
                if publication.topic == TOPICS.up(EID):
                    eim.hear(publication)
                elif isinstance(found := device.hear(publication), Answered):
                    heard = found
            if heard is not None:
                assert message in eim.kept
                delivered += 1
                break
        else:
            device.give_up()
    assert delivered > 20
