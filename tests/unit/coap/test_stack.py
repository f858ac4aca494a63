"""CoAP on DTLS in virtual time: bad links, moves, ends of associations, and the timers of both layers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.unit.coap.lossy import Link, SeededEntropy
from tests.unit.dtls.lab import SERVER, START, TARGET, client_config, device, server_config

from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Answered, Request, Requested, Response, Unanswered
from keim.wire.coap.stack import CoapStack
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Down, Moved
from keim.wire.dtls.plain import PlainDatagrams

BACK = hashlib.shake_128(b"back").digest(6000)
BODY = hashlib.shake_128(b"body").digest(3000)
ASK = Request(path=("gsma", "rsp2", "asn1"), content_format=42, body=BODY)


class Both:
    def __init__(self, link: Link, *, client: dict[str, Any] | None = None, **server: Any) -> None:
        self.link = link
        link.now = START
        self.server = CoapStack(
            DtlsEndpoint(server_config(**server), entropy=SeededEntropy("s")),
            CoapEndpoint(entropy=SeededEntropy("cs")),
        )
        self.client = CoapStack(
            DtlsEndpoint(client_config(**(client or {})), entropy=SeededEntropy("c")),
            CoapEndpoint(entropy=SeededEntropy("cc")),
        )
        link.join(SERVER, self.server)
        link.join(device(), self.client)
        link.on_event = self._on_event
        self.runs = 0

    def _on_event(self, _address: object, event: Any, now: float) -> None:
        if isinstance(event, Requested):
            self.runs += 1
            assert event.request.body == BODY
            self.server.respond(event, Response(0x44, BACK, 42), now)

    def connect(self) -> Any:
        association = self.client.lower.connect(SERVER, self.link.now, TARGET)
        self.link.run(300.0, lambda: self.client.lower.is_up(association))
        return association

    def ask(self, association: Any) -> Any:
        handle = self.client.ask(association, ASK, self.link.now)

        def ended() -> list[Any]:
            return [e for e in self.ends() if e.handle == handle]

        self.link.run(1000.0, lambda: bool(ended()))
        return ended()[0]

    def ends(self) -> list[Any]:
        return [*self.link.seen(Answered), *self.link.seen(Unanswered)]


@pytest.mark.parametrize("seed", range(10))
def test_whole_exchanges_survive_a_bad_link(seed: int) -> None:
    both = Both(Link(seed, loss=0.1, duplication=0.1, reordering=0.1))
    association = both.connect()
    ends = [both.ask(association) for _ in range(3)]
    assert all(end.response.body == BACK for end in ends if isinstance(end, Answered))
    assert sum(isinstance(end, Answered) for end in ends) >= 2
    assert both.runs <= 3


def test_blocks_go_on_after_a_move_in_the_middle_of_a_transfer() -> None:
    both = Both(Link())
    association = both.connect()
    moved: list[int] = []

    def drop(_data: bytes, source: object, _target: object) -> bool:
        if source == device() and len(both.link.sent) > 12 and not moved:
            moved.append(1)
            both.link.translate[device()] = ("203.0.113.9", 777)
        return False

    both.link.drop = drop
    end = both.ask(association)
    assert end.response.body == BACK
    assert len(both.link.seen(Moved, SERVER)) == 1
    assert both.runs == 1


@pytest.mark.parametrize(("octets", "block"), [(512, 256), (1024, 512), (2048, 1024)])
def test_blocks_fit_into_the_records_that_the_peer_takes(octets: int, block: int) -> None:
    both = Both(Link(), client={"max_fragment_length": octets})
    association = both.connect()
    both.link.sent.clear()
    end = both.ask(association)
    assert (end.response.body, both.runs) == (BACK, 1)
    for source in (device(), SERVER):
        longest = max(len(data) for sender, _, data in both.link.sent if sender == source)
        assert block < longest <= octets + 60


def test_what_waits_ends_with_its_association() -> None:
    both = Both(Link())
    association = both.connect()
    both.client.ask(association, ASK, both.link.now)
    events = both.client.close(association, both.link.now)
    assert [type(event) for event in events] == [Down, Unanswered]
    both.link.run(1.0)
    assert both.server.coap.associations_in_memory == 0
    assert len(both.link.seen(Down, SERVER)) == 1


def test_the_earlier_deadline_of_both_layers_counts() -> None:
    both = Both(Link())
    assert both.client.next_deadline() is None
    association = both.connect()
    below = both.client.lower.next_deadline()
    both.client.ask(association, ASK, both.link.now)
    above = both.client.coap.next_deadline()
    assert above is not None
    assert both.client.next_deadline() == min(d for d in (above, below) if d is not None)


def test_without_protection_the_address_is_the_peer() -> None:
    lower = PlainDatagrams()
    stack = CoapStack(lower, CoapEndpoint(entropy=SeededEntropy(1)))
    assert lower.is_up(lower.connect("there", 0.0, None))
    stack.ask("there", ASK, 0.0)
    [(data, address)] = stack.datagrams_to_send()
    assert address == "there"
    assert data[0] >> 4 == 4
    assert [type(event) for event in stack.close("there", 0.0)] == [Down, Unanswered]
    assert lower.handle_timer(0.0) == []
