"""Two CoAP endpoints on a link in virtual time: what is lost is sent again, what comes twice is done once."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.unit.coap.lossy import Link, SeededEntropy

from keim.errors import Refused
from keim.wire.coap import numbers
from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Answered, Request, Requested, Response, Retransmitted, Unanswered
from keim.wire.coap.message import Message, decode, encode
from keim.wire.coap.settings import CoapSettings

ASK = Request(path=("gsma", "rsp2", "asn1"), content_format=42, body=b"question")


class Pair:
    """A client and a server; the server answers with `answer(request)` after `delay_s`."""

    def __init__(
        self,
        link: Link | None = None,
        *,
        server: CoapSettings | None = None,
        client: CoapSettings | None = None,
        delay_s: float | None = 0.0,
    ) -> None:
        self.link = link or Link()
        self.server = CoapEndpoint(entropy=SeededEntropy("s"), settings=server or CoapSettings())
        self.client = CoapEndpoint(entropy=SeededEntropy("c"), settings=client or CoapSettings())
        self.link.join("server", self.server)
        self.link.join("client", self.client)
        self.link.on_event = self._on_event
        self.delay_s = delay_s
        self.runs: list[Request] = []
        self.answer = lambda request: Response(numbers.CHANGED, request.body.upper(), 42)
        self.waiting: list[Requested] = []

    def _on_event(self, _address: object, event: Any, now: float) -> None:
        if isinstance(event, Requested):
            self.runs.append(event.request)
            if self.delay_s == 0.0:
                self.server.respond(event, self.answer(event.request), now)
            elif self.delay_s is not None:
                self.server._layer.timers.at(  # the test's way to be called back in virtual time
                    now + self.delay_s,
                    lambda due: self.server.respond(event, self.answer(event.request), due),
                )
            else:
                self.waiting.append(event)

    def ask(self, request: Request = ASK, **more: Any) -> Any:
        handle = self.client.ask("server", request, self.link.now, **more)
        self.link.run(2000.0, lambda: any(e.handle == handle for e in self.ends()))
        return next(e for e in self.ends() if e.handle == handle)

    def ends(self) -> list[Any]:
        return [*self.link.seen(Answered), *self.link.seen(Unanswered)]


def kinds(link: Link) -> list[tuple[int, int]]:
    return [(message.type, message.code) for message in map(decode, (data for _, _, data in link.sent))]


def test_a_quick_answer_rides_on_the_acknowledgement() -> None:
    pair = Pair()
    assert pair.ask().response == Response(0x44, b"QUESTION", 42)
    assert kinds(pair.link) == [(0, 2), (2, 0x44)]


def test_a_slow_answer_comes_by_itself_and_is_acknowledged() -> None:
    pair = Pair(delay_s=5.0)
    assert pair.ask().response.body == b"QUESTION"
    pair.link.run(1.0)
    assert kinds(pair.link) == [(0, 2), (2, 0), (0, 0x44), (2, 0)]
    assert len(pair.runs) == 1


def test_a_separate_answer_counts_though_the_acknowledgement_was_lost() -> None:
    pair = Pair(delay_s=0.5)
    pair.link.drop = lambda data, *_: data[0] >> 4 == 6 and data[1] == 0  # all empty acknowledgements
    assert pair.ask().response.body == b"QUESTION"
    assert len(pair.runs) == 1


@pytest.mark.parametrize(
    ("octets", "loses", "is_delivered"), [(10, False, True), (10, True, False), (3000, False, True)]
)
def test_who_answers_later_learns_whether_the_peer_has_the_answer(
    octets: int, loses: bool, is_delivered: bool
) -> None:
    """By its acknowledgement, by the fetching of the last block, or by the silence after all repetitions."""
    pair = Pair(delay_s=None)
    told: list[bool] = []
    pair.client.ask("server", ASK, 0.0)
    pair.link.run(5.0)
    [requested] = pair.waiting
    if loses:
        pair.link.drop = lambda _data, source, _target: source == "client"
    response = Response(numbers.CHANGED, bytes(octets), 42)
    pair.server.respond(requested, response, pair.link.now, told=told.append)
    assert told == []
    pair.link.run(200.0)
    assert told == [is_delivered]


def test_who_answers_a_peer_that_has_gone_is_told_so() -> None:
    pair = Pair(delay_s=None)
    told: list[bool] = []
    pair.client.ask("server", ASK, 0.0)
    pair.link.run(5.0)
    [requested] = pair.waiting
    pair.server.forget("client")
    pair.server.respond(requested, Response(numbers.CHANGED), pair.link.now, told=told.append)
    assert told == [False]


def test_an_answer_that_never_comes_times_out_after_the_request_timeout() -> None:
    pair = Pair(delay_s=None)
    start = pair.link.now
    end = pair.ask(timeout_s=300.0)
    assert isinstance(end, Unanswered)
    assert end.reason == "timed_out"
    assert 300 < pair.link.now - start < 301


def test_a_dead_peer_is_given_up_after_four_retransmissions_with_doubling_gaps() -> None:
    pair = Pair()
    pair.link.drop = lambda *_: True
    start = pair.link.now
    assert pair.ask().reason == "timed_out"
    assert [event.tries for event in pair.link.seen(Retransmitted)] == [1, 2, 3, 4]
    assert len(pair.link.sent) == 5
    assert len({data for _, _, data in pair.link.sent}) == 1
    assert 62 <= pair.link.now - start <= 93


def test_a_lost_answer_is_repeated_from_what_is_kept_and_the_handler_does_not_run_again() -> None:
    pair = Pair()
    lost: list[bytes] = []

    def drop(data: bytes, source: object, _target: object) -> bool:
        if source == "server" and len(lost) < 3:
            lost.append(data)
            return True
        return False

    pair.link.drop = drop
    assert pair.ask().response.body == b"QUESTION"
    assert len(set(lost)) == 1
    assert len(pair.runs) == 1


@pytest.mark.parametrize("up", [0, 16, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("down", [0, 1024, 1025, 7000])
@pytest.mark.parametrize(("client", "server"), [(6, 6), (6, 2), (2, 6), (0, 3)])
def test_bodies_travel_in_blocks_of_the_smaller_size(up: int, down: int, client: int, server: int) -> None:
    pair = Pair(client=CoapSettings(max_exponent=client), server=CoapSettings(max_exponent=server))
    body = hashlib.shake_128(b"up").digest(up)
    back = hashlib.shake_128(b"down").digest(down)
    pair.answer = lambda _request: Response(numbers.CHANGED, back, 42)
    end = pair.ask(Request(path=("a",), query=("x=1",), content_format=42, body=body))
    assert end.response == Response(numbers.CHANGED, back, 42)
    assert [request.body for request in pair.runs] == [body]
    assert pair.runs[0].query == ("x=1",)
    largest = max(len(decode(data).payload) for source, _, data in pair.link.sent if source == "server")
    assert largest <= 16 << min(client, server)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("delay_s", [0.0, 3.0])
def test_a_bad_link_carries_whole_bodies_and_each_request_runs_once(seed: int, delay_s: float) -> None:
    link = Link(seed, loss=0.15, duplication=0.1, reordering=0.1)
    pair = Pair(link, delay_s=delay_s)
    back = hashlib.shake_128(b"down").digest(9000)
    pair.answer = lambda _request: Response(numbers.CHANGED, back, 42)
    body = hashlib.shake_128(b"up").digest(4500)
    ends = [pair.ask(Request(path=("a",), content_format=42, body=body)) for _ in range(3)]
    answered = [end for end in ends if isinstance(end, Answered)]
    assert all(end.response.body == back for end in answered)
    assert len(pair.runs) <= 3
    assert len(answered) >= 2
    assert all(request.body == body for request in pair.runs)


def test_a_body_above_the_limit_is_refused_and_nothing_of_it_is_kept() -> None:
    pair = Pair(server=CoapSettings(max_request_octets=3000))
    end = pair.ask(Request(path=("a",), body=bytes(5000)))
    assert end.response.code == numbers.REQUEST_ENTITY_TOO_LARGE
    assert pair.runs == []
    pair.link.run(300.0)
    assert pair.server.associations_in_memory == 0


def test_nothing_is_kept_of_a_peer_after_the_exchange_lifetime() -> None:
    pair = Pair()
    pair.answer = lambda _request: Response(numbers.CHANGED, bytes(5000))
    pair.ask(Request(path=("a",), body=bytes(3000)))
    assert pair.server.associations_in_memory == 1
    pair.link.run(300.0)
    assert pair.server.associations_in_memory == pair.client.associations_in_memory == 0
    assert pair.server.next_deadline() is None
    assert pair.server._responder._octets == 0
    assert pair.server._layer._kept_octets == 0


def test_requests_to_one_peer_wait_for_their_turn() -> None:
    pair = Pair()
    handles = [pair.client.ask("server", ASK, pair.link.now) for _ in range(5)]
    assert len(pair.client.datagrams_to_send()) == 1
    pair.link.run(100.0)
    assert sorted(event.handle for event in pair.ends()) == handles


def test_the_queue_has_an_end() -> None:
    client = CoapEndpoint(entropy=SeededEntropy(1), settings=CoapSettings(queued_requests=2))
    for _ in range(3):
        client.ask("server", ASK, 0.0)
    with pytest.raises(Refused):
        client.ask("server", ASK, 0.0)


def test_forgetting_an_association_ends_what_waits_for_it() -> None:
    pair = Pair()
    for _ in range(2):
        pair.client.ask("server", ASK, 0.0)
    assert [event.reason for event in pair.client.forget("server")] == ["closed", "closed"]
    assert pair.client.next_deadline() is None
    assert pair.client.associations_in_memory == 0


# ---- a peer that is not ours: single messages at the server


def server(**settings: Any) -> CoapEndpoint:
    return CoapEndpoint(entropy=SeededEntropy(3), settings=CoapSettings(**settings))


def answers(endpoint: CoapEndpoint) -> list[Message]:
    return [decode(data) for data, _ in endpoint.datagrams_to_send()]


def post(message_id: int, block1: str = "", payload: bytes = b"", *, type: int = 0, more: Any = ()) -> bytes:
    options = [(11, b"a"), *more]
    if block1:
        options.append((27, bytes.fromhex(block1)))
    return encode(Message(type, 2, message_id, b"\x01", tuple(sorted(options)), payload))


def test_a_ping_is_answered_with_a_reset() -> None:
    endpoint = server()
    assert endpoint.receive(bytes.fromhex("40001234"), "p", 0.0) == []
    assert endpoint.datagrams_to_send() == [(bytes.fromhex("70001234"), "p")]
    assert endpoint.associations_in_memory == 0


@pytest.mark.parametrize(
    ("datagram", "sent"),
    [
        ("40021234FF", "70001234"),  # a broken CON is reset
        ("50021234FF", None),  # a broken NON is dropped
        ("C0021234", None),  # another version
        ("40441234", "70001234"),  # an answer that nobody waits for
        ("50441234", None),
        ("60441234", None),
        ("70441234", None),
        ("40E11234", "70001234"),  # a reserved class
        ("60021234", None),  # a request cannot be an acknowledgement
        ("", None),
        ("40", None),
    ],
)
def test_what_makes_no_sense_is_reset_or_dropped(datagram: str, sent: str | None) -> None:
    endpoint = server()
    assert endpoint.receive(bytes.fromhex(datagram), "p", 0.0) == []
    assert [data.hex() for data, _ in endpoint.datagrams_to_send()] == ([sent] if sent else [])
    assert endpoint.associations_in_memory == 0


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ((1, b""), numbers.BAD_OPTION),
        ((5, b""), numbers.BAD_OPTION),
        ((65001, b""), numbers.BAD_OPTION),
        ((27, b"\x07"), numbers.BAD_OPTION),
        ((11, b"\xff"), numbers.BAD_OPTION),
        ((35, b"coap://x"), numbers.PROXYING_NOT_SUPPORTED),
    ],
)
def test_critical_options_that_we_do_not_know_are_refused(option: tuple[int, bytes], code: int) -> None:
    endpoint = server()
    assert endpoint.receive(post(1, more=[option]), "p", 0.0) == []
    assert [answer.code for answer in answers(endpoint)] == [code]
    assert endpoint.receive(post(2, type=1, more=[option]), "p", 0.0) == []
    assert answers(endpoint) == []


def test_elective_options_that_we_do_not_know_are_skipped() -> None:
    assert len(server().receive(post(1, more=[(6, b""), (258, b"\x02"), (60, b"\x01")]), "p", 0.0)) == 1


def test_a_request_that_needs_no_acknowledgement_gets_an_answer_that_needs_none() -> None:
    endpoint = server()
    [requested] = endpoint.receive(post(1, type=1, payload=b"x"), "p", 0.0)
    endpoint.respond(requested, Response(numbers.CHANGED, b"y"), 0.0)
    assert [(answer.type, answer.payload) for answer in answers(endpoint)] == [(1, b"y")]
    assert endpoint.receive(post(1, type=1, payload=b"x"), "p", 0.0) == []
    assert answers(endpoint) == []


def test_an_exchange_is_answered_once() -> None:
    endpoint = server()
    [requested] = endpoint.receive(post(1), "p", 0.0)
    endpoint.respond(requested, Response(numbers.CHANGED), 0.0)
    endpoint.respond(requested, Response(numbers.CHANGED), 0.0)
    assert len(answers(endpoint)) == 1


def feed(endpoint: CoapEndpoint, *datagrams: bytes) -> list[int]:
    codes = []
    for datagram in datagrams:
        for event in endpoint.receive(datagram, "p", 0.0):
            endpoint.respond(event, Response(numbers.CHANGED, event.request.body), 0.0)
        codes += [answer.code for answer in answers(endpoint)]
    return codes


def test_blocks_that_leave_a_gap_are_refused() -> None:
    assert feed(server(), post(1, "08", bytes(16)), post(2, "28", bytes(16))) == [0x5F, 0x88]


def test_a_transfer_that_nobody_began_is_refused() -> None:
    assert feed(server(), post(1, "18", bytes(16))) == [0x88]


def test_a_transfer_may_begin_anew() -> None:
    endpoint = server()
    codes = feed(endpoint, post(1, "08", b"a" * 16), post(2, "08", b"b" * 16), post(3, "10", b"c"))
    assert codes == [0x5F, 0x5F, 0x44]


def test_a_block_of_the_wrong_length_is_refused() -> None:
    assert feed(server(), post(1, "08", bytes(15)), post(2, "08", bytes(17))) == [0x80, 0x80]


def test_blocks_may_change_their_size_at_the_same_offset() -> None:
    endpoint = server()
    assert feed(endpoint, post(1, "09", bytes(32)), post(2, "28", bytes(16)), post(3, "30", b"x")) == [
        0x5F, 0x5F, 0x44,
    ]  # fmt: skip


def test_a_peer_has_at_most_two_half_sent_bodies() -> None:
    endpoint = server()
    first = [
        encode(Message(0, 2, n, b"", ((11, path), (27, b"\x08")), bytes(16)))
        for n, path in enumerate((b"a", b"b", b"c"))
    ]
    rest = [
        encode(Message(0, 2, 10 + n, b"", ((11, path), (27, b"\x10")), b"x"))
        for n, path in enumerate((b"a", b"b", b"c"))
    ]
    assert feed(endpoint, *first, *rest) == [0x5F, 0x5F, 0x5F, 0x88, 0x44, 0x44]


def test_all_half_sent_bodies_together_are_bounded() -> None:
    endpoint = server(transfer_octets=1024)
    for peer in range(1000):
        endpoint.receive(post(peer, "0a", bytes(64)), peer, float(peer) / 1000)
    assert endpoint._responder._octets <= 1024
    assert len(endpoint._responder._transfers) <= 16


def test_kept_answers_are_bounded_per_peer_and_together() -> None:
    endpoint = server(kept_octets=5000, kept_exchanges=4)
    for message_id in range(50):
        for peer in range(20):
            [requested] = endpoint.receive(post(message_id), peer, 0.0)
            endpoint.respond(requested, Response(numbers.CHANGED, bytes(200)), 0.0)
    assert endpoint._layer._kept_octets <= 5000
    assert all(len(peer.recent) <= 4 for peer in endpoint._layer.peers.values())
    kept = sum(len(data or b"") for p in endpoint._layer.peers.values() for _, data in p.recent.values())
    assert kept == endpoint._layer._kept_octets


def test_peers_that_ask_or_come_and_go_without_end_leave_no_trail() -> None:
    endpoint = server(kept_exchanges=4)
    for number in range(5000):
        [requested] = endpoint.receive(post(number), "p", 0.0)
        endpoint.respond(requested, Response(numbers.CHANGED), 0.0)
        endpoint.datagrams_to_send()
    assert len(endpoint._layer._ages) <= 1025
    for peer in range(5000):
        endpoint.receive(post(1), peer, 0.0)
        endpoint.forget(peer)
    assert len(endpoint._layer._ages) <= 1025
    endpoint.handle_timer(300.0)
    assert endpoint.datagrams_to_send() == []  # nobody is acknowledged who has gone
    assert len(endpoint._layer._ages) == endpoint.associations_in_memory == endpoint._layer._kept_octets == 0


def get_block(message_id: int, option: str) -> bytes:
    return encode(Message(0, 2, message_id, b"\x01", ((11, b"a"), (23, bytes.fromhex(option)))))


def test_later_blocks_of_an_answer_do_not_run_the_request_again() -> None:
    endpoint = server()
    [requested] = endpoint.receive(post(1), "p", 0.0)
    body = hashlib.shake_128(b"x").digest(2500)
    endpoint.respond(requested, Response(numbers.CHANGED, body, 42), 0.0)
    [first] = answers(endpoint)
    assert (23, bytes.fromhex("0e")) in first.options
    assert (28, (2500).to_bytes(2, "big")) in first.options
    assert endpoint.receive(get_block(2, "06"), "p", 1.0) != []  # block 0 asks anew
    endpoint.datagrams_to_send()
    assert endpoint.receive(get_block(3, "16"), "p", 2.0) == []
    assert endpoint.receive(get_block(4, "26"), "p", 3.0) == []
    second, third = answers(endpoint)
    assert first.payload + second.payload + third.payload == body
    assert endpoint.receive(get_block(5, "36"), "p", 4.0) == []
    assert [answer.code for answer in answers(endpoint)] == [0x88]
    assert endpoint.receive(get_block(6, "16"), "other", 4.0) == []
    assert [answer.code for answer in answers(endpoint)] == [0x88]
    endpoint.handle_timer(200.0)
    endpoint.datagrams_to_send()
    assert endpoint.receive(get_block(7, "16"), "p", 200.0) == []
    assert [answer.code for answer in answers(endpoint)] == [0x88]


# ---- a server that is not ours: single messages at the client


def client_after(*replies: Message, request: Request = ASK) -> list[Any]:
    endpoint = server()
    endpoint.ask("p", request, 0.0)
    events: list[Any] = []
    for reply in replies:
        [sent, *_] = answers(endpoint)
        token = b"" if reply.code == 0 else sent.token
        made = Message(reply.type, reply.code, sent.message_id, token, reply.options, reply.payload)
        events += endpoint.receive(encode(made), "p", 0.0)
    return events


LONG = Request(path=("a",), body=bytes(3000))


@pytest.mark.parametrize(
    "replies",
    [
        [Message(2, 0x5F, 0, b"", ((27, b"\x0e"),))],  # a continue for a request without blocks
        [Message(2, 0x44, 0, b"", ((23, b"\x1e"),), bytes(1024))],  # begins with the second block
        [Message(2, 0x44, 0, b"", ((23, b"\x0e"),), bytes(1000))],  # a block too short
        [Message(2, 0x44, 0, b"", ((23, b"\x0e"),), bytes(1024)), Message(2, 0x44, 0)],  # lost its blocks
        [Message(2, 0x44, 0, b"", ((65001, b""),))],  # a critical option that we do not know
        [Message(2, 0x44, 0, b"", ((23, b"\x07"),))],
    ],
)
def test_broken_answers_end_the_request(replies: list[Message]) -> None:
    [end] = client_after(*replies)
    assert isinstance(end, Unanswered)
    assert end.reason == "broken"


def test_a_continue_for_another_block_ends_the_request() -> None:
    [end] = client_after(Message(2, 0x5F, 0, b"", ((27, b"\x1e"),)), request=LONG)
    assert end.reason == "broken"


def test_a_reset_ends_the_request() -> None:
    [end] = client_after(Message(3, 0, 0))
    assert end.reason == "reset"


def test_the_client_begins_anew_with_smaller_blocks_when_told_to() -> None:
    endpoint = server()
    endpoint.ask("p", LONG, 0.0)
    [sent] = answers(endpoint)
    endpoint.receive(encode(Message(2, 0x8D, sent.message_id, sent.token, ((27, b"\x02"),))), "p", 0.0)
    [again] = answers(endpoint)
    assert len(again.payload) == 64
    assert (27, b"\x0a") in again.options


def test_an_error_is_an_answer() -> None:
    [end] = client_after(Message(2, 0xA3, 0, b"", ((14, b"\x3c"),), b"later"))
    assert end.response == Response(0xA3, b"later", None, 60)


def test_an_error_in_blocks_is_put_together_and_ends() -> None:
    first = Message(2, 0x80, 0, b"", ((23, b"\x0a"),), bytes(64))
    [end] = client_after(first, Message(2, 0x80, 0, b"", ((23, b"\x12"),), b"end"))
    assert end.response == Response(0x80, bytes(64) + b"end")


def test_an_error_may_come_in_place_of_the_next_block() -> None:
    first = Message(2, 0x44, 0, b"", ((23, b"\x0a"),), bytes(64))
    [end] = client_after(first, Message(2, 0x88, 0, b"", (), b"gone"))
    assert end.response == Response(0x88, b"gone")


def test_the_sentence_of_an_error_is_cut_to_one_block() -> None:
    pair = Pair(client=CoapSettings(max_exponent=1))
    pair.answer = lambda _: Response(numbers.BAD_REQUEST, "Das ist zu lang für einen Blöck von 32".encode())
    request = Request(path=("a",), body=b"x")
    end = pair.ask(request)
    assert end.response.code == numbers.BAD_REQUEST
    assert len(pair.runs) == 1
    end.response.body.decode()


def test_an_answer_with_a_strange_message_id_is_ignored() -> None:
    endpoint = server()
    endpoint.ask("p", ASK, 0.0)
    [sent] = answers(endpoint)
    assert endpoint.receive(encode(Message(2, 0x44, sent.message_id ^ 1, sent.token)), "p", 0.0) == []
    assert endpoint.receive(encode(Message(2, 0x44, sent.message_id, b"zz")), "p", 0.0) == []
    assert len(endpoint.receive(encode(Message(2, 0x44, sent.message_id, sent.token)), "p", 0.0)) == 1
