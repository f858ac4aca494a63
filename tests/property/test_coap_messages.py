"""CoAP under arbitrary octets: what is encoded is decoded, what is random neither raises nor grows."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coap.lossy import SeededEntropy

from keim.errors import Malformed
from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Request, Requested, Response
from keim.wire.coap.message import Message, decode, encode

OPTIONS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=6).map(
    lambda options: tuple(sorted(options, key=lambda option: option[0]))
)
MESSAGES = st.builds(
    Message,
    st.integers(0, 3),
    st.integers(1, 255),
    st.integers(0, 0xFFFF),
    st.binary(max_size=8),
    OPTIONS,
    st.binary(max_size=40),
)


@given(MESSAGES)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=60))
def test_octets_are_a_message_or_are_refused(octets: bytes) -> None:
    try:
        message = decode(octets)
    except Malformed:
        return
    assert decode(encode(message)) == message


def mutated(chance: random.Random, datagram: bytes) -> bytes:
    data = bytearray(datagram)
    for _ in range(chance.randint(1, 4)):
        match chance.randrange(4):
            case 0 if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 1 if data:
                del data[chance.randrange(len(data)) :]
            case 2:
                place = chance.randint(0, len(data))
                data[place:place] = chance.randbytes(chance.randint(1, 4))
            case _ if data:
                del data[chance.randrange(len(data))]
    return bytes(data)


def test_20000_mutated_datagrams_harm_nobody() -> None:
    chance = random.Random(7)
    server = CoapEndpoint(entropy=SeededEntropy(1))
    client = CoapEndpoint(entropy=SeededEntropy(2))
    now = 0.0
    for turn in range(4000):
        now += 0.5
        client.ask("server", Request(path=("a",), body=bytes(chance.choice((5, 2000)))), now)
        for data, _ in client.datagrams_to_send():
            for octets in (*(mutated(chance, data) for _ in range(3)), data):
                for event in server.receive(octets, "client", now):
                    assert isinstance(event, Requested)
                    server.respond(event, Response(0x44, bytes(chance.choice((5, 3000)))), now)
        for data, _ in server.datagrams_to_send():
            for octets in (*(mutated(chance, data) for _ in range(2)), data):
                client.receive(octets, "server", now)
        if turn % 50 == 0:
            client.forget("server")
        server.handle_timer(now)
        client.handle_timer(now)
    for peer in server._layer.peers.values():
        assert len(peer.recent) <= 8
    server.handle_timer(now + 500)
    assert server.associations_in_memory == 0
    # and it still works
    client.forget("server")
    client.datagrams_to_send()
    client.ask("server", Request(path=("a",), body=b"alive"), now + 500)
    [(data, _)] = client.datagrams_to_send()
    [event] = server.receive(data, "client", now + 500)
    assert event.request.body == b"alive"
