"""One suite for every layer of protected datagrams, made by the word of the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.coap_peers import NAME, papers
from tests.unit.coap.lossy import Link

from keim.errors import Refused
from keim.io.datagram import SteadyClock
from keim.io.dtls_engines import client_datagrams, server_datagrams
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import Data, Down, Up
from keim.wire.dtls.trust import Anchors

ENGINES: Any = ["native", "openssl"]
SERVER, DEVICE = ("192.0.2.1", 5684), ("198.51.100.1", 40000)


class Ends:
    def __init__(
        self, engine: Any, *, client_proof: Any = "none", proves: bool = False, trust: Any = None
    ) -> None:
        all_papers = papers()
        self.server: Any = server_datagrams(
            engine, all_papers.keys["server"], [all_papers.certificates["server"]],
            trust=all_papers.anchors, client_proof=client_proof,
        )  # fmt: skip
        key, chain = (
            (all_papers.keys["device"], [all_papers.certificates["device"]]) if proves else (None, [])
        )
        self.client: Any = client_datagrams(engine, trust or all_papers.anchors, key=key, chain=chain)
        self.link = Link()
        self.link.now = SteadyClock()()
        self.link.join(SERVER, self.server)
        self.link.join(DEVICE, self.client)
        self.association = self.client.connect(SERVER, self.link.now, Target(server_name=NAME))
        self.link.run(2.0, lambda: bool(self.link.seen(Up, DEVICE) or self.link.seen(Down, DEVICE)))
        self.link.run(0.2)


@pytest.mark.parametrize("engine", ENGINES)
def test_data_goes_both_ways_in_its_own_datagrams(engine: Any) -> None:
    ends = Ends(engine)
    [up] = ends.link.seen(Up, SERVER)
    assert ends.client.is_up(ends.association)
    for size in (1, 300, 1100):
        ends.client.send(ends.association, bytes(size), ends.link.now)
        ends.server.send(up.association, bytes(size + 1), ends.link.now)
    ends.link.run(0.2)
    assert [len(event.data) for event in ends.link.seen(Data, SERVER)] == [1, 300, 1100]
    assert [len(event.data) for event in ends.link.seen(Data, DEVICE)] == [2, 301, 1101]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_is_named_when_it_proves_itself(engine: Any) -> None:
    [up] = Ends(engine, client_proof="required", proves=True).link.seen(Up, SERVER)
    assert (up.identity.kind, up.identity.name) == ("certificate", "device.example.com")
    assert Ends(engine, client_proof="required").link.seen(Up, SERVER) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_without_trust_is_left(engine: Any) -> None:
    ends = Ends(engine, trust=Anchors([]))
    assert [event.reason for event in ends.link.seen(Down, DEVICE)] == ["dtls.untrusted"]
    assert not ends.client.is_up(ends.association)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("who", ["client", "server"])
def test_an_end_is_heard_once_on_each_side(engine: Any, who: str) -> None:
    ends = Ends(engine)
    [up] = ends.link.seen(Up, SERVER)
    closer, association = (
        (ends.client, ends.association) if who == "client" else (ends.server, up.association)
    )
    assert [event.reason for event in closer.close(association, ends.link.now)] == ["closed"]
    ends.link.run(0.5)
    assert [event.reason for event in ends.link.seen(Down)] == ["closed"]
    closer.send(association, b"late", ends.link.now)
    assert closer.datagrams_to_send() == []


def test_the_openssl_engine_says_what_it_lacks() -> None:
    with pytest.raises(Refused):
        server_datagrams("openssl", papers().keys["server"])
    with pytest.raises(Refused):
        server_datagrams(
            "openssl", papers().keys["server"], [papers().certificates["server"]], find_psk=lambda _: None
        )
