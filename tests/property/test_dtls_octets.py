"""DTLS under arbitrary octets: readers that raise nothing but `Malformed`, fragments in any cut and order."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coap.lossy import SeededEntropy
from tests.unit.dtls.lab import START, device, server_config

from keim.errors import Malformed
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.fragments import HandshakeMessage, Reassembly, read_fragments
from keim.wire.dtls.hello import ClientHello, read_client_hello, read_hello_verify, read_server_hello
from keim.wire.dtls.records import clear_record, split

OFFERS = st.builds(
    ClientHello,
    random=st.binary(min_size=32, max_size=32),
    session_id=st.binary(max_size=32),
    cookie=st.binary(max_size=255),
    suites=st.lists(st.integers(0, 0xFFFF), max_size=20).map(tuple),
    extensions=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=8),
)


@given(OFFERS)
def test_an_offer_is_read_as_it_was_written(offer: ClientHello) -> None:
    assert read_client_hello(offer.encode()) == offer


@given(st.binary(max_size=120))
def test_readers_refuse_in_one_way(octets: bytes) -> None:
    for read in (read_client_hello, read_server_hello, read_hello_verify):
        with contextlib.suppress(Malformed):
            read(octets)
    with contextlib.suppress(Malformed):
        list(read_fragments(octets))
    assert sum(len(record.fragment) for record in split(octets, 8)) <= len(octets)


@given(
    st.binary(min_size=1, max_size=400),
    st.lists(st.integers(0, 400), max_size=8),
    st.randoms(use_true_random=False),
)
def test_a_message_in_any_pieces_and_order_is_whole_again(
    body: bytes, cuts: list[int], chance: object
) -> None:
    message = HandshakeMessage(11, 3, body)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [message.fragment(low, high - low) for low, high in pairwise(places)]
    chance.shuffle(pieces)  # type: ignore[attr-defined]  # hypothesis hands a random.Random
    reassembly = Reassembly(3)
    ready = []
    for piece in pieces * 2:
        for fragment in read_fragments(piece):
            ready += reassembly.add(fragment)
    assert ready == [message]


@given(OFFERS, st.integers(0, 30), st.binary(max_size=30))
def test_no_offer_of_a_stranger_leaves_anything_at_the_server(
    offer: ClientHello, at: int, noise: bytes
) -> None:
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    datagram = clear_record(22, 0, HandshakeMessage(1, 0, offer.encode()).encode())
    for octets in (datagram, datagram[:-at] if at else datagram, datagram + noise, noise + datagram):
        before = len(octets)
        assert server.receive(octets, device(), START) == []
        assert sum(len(data) for data, _ in server.datagrams_to_send()) <= max(before, 60)
    assert server.half_open == 0
