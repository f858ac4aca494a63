"""Observed resources (RFC 7641) in virtual time: told of changes, in order, until either side has enough."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.coap.lossy import Link
from tests.unit.coap.test_exchanges import Pair

from keim.wire.coap import numbers
from keim.wire.coap.events import Notified, Request, Response, Told
from keim.wire.coap.message import Message, encode
from keim.wire.coap.observing import Observed
from keim.wire.coap.settings import CoapSettings

PATH = ("3443", "0", "3")
WATCH = Request(method=numbers.GET, path=PATH, observe=0)


class Watched(Pair):
    """The server's resource has a value; who asks with Observe is told of changes."""

    def __init__(self, link: Link | None = None, **more: Any) -> None:
        super().__init__(link, **more)
        self.value = b"first"
        self.number = 1
        self.answer = lambda request: Response(
            numbers.CONTENT, self.value, 42, observe=self.number if request.observe == 0 else None
        )

    def change(self, value: bytes) -> bool:
        self.value = value
        self.number += 1
        return self.server.notify(
            "client", PATH, Response(numbers.CONTENT, value, 42, observe=self.number), self.link.now
        )

    def heard(self) -> list[bytes]:
        return [event.response.body for event in self.link.seen(Notified, "client")]

    def told(self) -> list[bool]:
        return [event.is_taken for event in self.link.seen(Told, "server")]


def test_changes_are_told_in_order_and_acknowledged() -> None:
    pair = Watched()
    assert pair.ask(WATCH).response.observe == 1
    for value in (b"second", b"third"):
        assert pair.change(value)
        pair.link.run(10)
    assert pair.heard() == [b"second", b"third"]
    assert pair.told() == [True, True]


def test_who_did_not_ask_for_it_is_told_nothing() -> None:
    pair = Watched()
    pair.ask(Request(method=numbers.GET, path=PATH))
    assert not pair.change(b"second")
    assert not pair.server.notify("nobody", PATH, Response(numbers.CONTENT), pair.link.now)


def test_an_observation_ends_when_the_observer_says_so() -> None:
    pair = Watched()
    pair.ask(WATCH)
    pair.ask(Request(method=numbers.GET, path=PATH, observe=1))
    assert not pair.change(b"second")


def test_an_observer_that_forgot_resets_and_is_told_no_more() -> None:
    pair = Watched()
    pair.ask(WATCH)
    pair.client.forget("server")
    assert pair.change(b"second")
    pair.link.run(10)
    assert pair.told() == [False]
    assert not pair.change(b"third")


def test_an_observer_that_is_gone_is_given_up() -> None:
    pair = Watched()
    pair.ask(WATCH)
    pair.link.drop = lambda _data, _source, target: target == "client"
    assert pair.change(b"second")
    pair.link.run(300)
    assert pair.told() == [False]
    assert not pair.change(b"third")


def test_the_peers_last_word_ends_an_observation() -> None:
    pair = Watched()
    pair.ask(WATCH)
    pair.server.notify("client", PATH, Response(numbers.NOT_FOUND), pair.link.now)
    pair.link.run(10)
    assert pair.link.seen(Notified, "client")[0].response.code == numbers.NOT_FOUND
    pair.change(b"second")
    pair.link.run(10)
    assert pair.told() == [True, False]


def test_a_long_value_begins_in_the_notification_and_is_fetched() -> None:
    pair = Watched(server=CoapSettings(max_exponent=4))
    pair.ask(WATCH)
    pair.change(bytes(range(256)) * 8)
    pair.link.run(10)
    (notified,) = pair.link.seen(Notified, "client")
    assert not notified.is_whole
    assert len(notified.response.body) == 256
    whole = pair.ask(Request(method=numbers.GET, path=PATH))
    assert whole.response.body == pair.value


def test_old_notifications_are_dropped_and_numbers_may_wrap() -> None:
    observed = Observed(PATH, 5, 1000.0)
    assert observed.is_newer(6, 1001.0)
    assert not observed.is_newer(6, 1002.0)
    assert not observed.is_newer(4, 1002.0)
    assert observed.is_newer(4, 1200.0)  # 128 s later any number is newer
    wrapping = Observed(PATH, (1 << 24) - 1, 1000.0)
    assert wrapping.is_newer(0, 1001.0)
    assert not wrapping.is_newer((1 << 24) - 1, 1002.0)


@pytest.mark.parametrize("seed", range(8))
def test_the_last_change_arrives_over_a_bad_link(seed: int) -> None:
    pair = Watched(Link(seed, loss=0.25, duplication=0.2, reordering=0.3))
    pair.ask(WATCH)
    for number in range(5):
        pair.change(b"%d" % number)
        pair.link.run(60)
    heard = pair.heard()
    assert heard == sorted(heard)
    if pair.told().count(False) == 0:
        assert heard[-1] == b"4"


def test_a_broken_notification_is_reset() -> None:
    pair = Watched()
    pair.ask(WATCH)
    peer = pair.client._layer.peers["server"]
    assert peer.observed is not None
    (token,) = peer.observed
    broken = Message(numbers.CON, numbers.CONTENT, 77, token, ((numbers.BLOCK2, b"\xff"),), b"x")
    pair.client.receive(encode(broken), "server", pair.link.now)
    assert pair.client.datagrams_to_send() == [(bytes((0x70, 0, 0, 77)), "server")]
    assert not peer.observed


def test_associations_that_end_take_their_observations_with_them() -> None:
    pair = Watched()
    pair.ask(WATCH)
    pair.link.run(1000)
    assert pair.client.associations_in_memory == 1  # an observation is kept however long nothing happens
    assert pair.server.associations_in_memory == 1
    pair.client.forget("server")
    pair.server.forget("client")
    assert pair.client.associations_in_memory == 0
    assert not pair.change(b"second")
