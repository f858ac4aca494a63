"""Bad links and bad peers: loss, floods, spoofed addresses, moves, restarts. In virtual time, by seeds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.coap.lossy import Link, SeededEntropy
from tests.unit.dtls.lab import (
    SERVER,
    START,
    TARGET,
    Lab,
    client_config,
    device,
    eim,
    ipa,
    server_config,
)

from keim.wire.dtls.association import SKIP
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.endpoint import SNAPSHOT_RECORDS, DtlsEndpoint
from keim.wire.dtls.events import Data, Down, Foreign, Moved, SnapshotDue, Up
from keim.wire.dtls.fragments import CLIENT_HELLO, HandshakeMessage
from keim.wire.dtls.handshake import EARLY_RECORDS
from keim.wire.dtls.records import HANDSHAKE, clear_record, split

MUTUAL = {"client_proof": "required", "trust": client_config().trust}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("is_mutual", [False, True])
def test_handshakes_finish_over_a_bad_link(seed: int, is_mutual: bool) -> None:
    """Each way 10 % lost, 10 % doubled, 10 % late by up to 1.5 s; fragments of 300 octets."""
    link = Link(seed, loss=0.1, duplication=0.1, reordering=0.1)
    server = server_config(mtu=300, **(MUTUAL if is_mutual else {}))
    lab = Lab(server, link=link, seed=seed)
    client, first = lab.connect(client_config(mtu=300, credentials=(ipa().credential,)))
    assert first in [event.association for event in lab.up(device())]
    assert any(lab.echo(client, first) == b"HELLO" for _ in range(12))
    again_client, again = lab.connect(
        target=Target(server_name="eim.example.com", session=first.session), number=2
    )
    assert again in [event.association for event in lab.up(device(2))]
    assert any(lab.echo(again_client, again) == b"HELLO" for _ in range(12))


def test_a_lost_last_flight_is_repeated_when_the_peer_repeats_its_finished() -> None:
    lab = Lab()
    lost: list[bytes] = []

    def drop(data: bytes, source: object, _target: object) -> bool:
        if source == SERVER and any(record.epoch == 1 for record in split(data, 8)) and len(lost) < 3:
            lost.append(data)
            return True
        return False

    lab.link.drop = drop
    client, association = lab.connect()
    assert len(lost) == 3
    assert lab.echo(client, association) == b"HELLO"
    assert len(lab.up()) == 1


def test_a_lost_last_flight_of_a_resumption_is_repeated_by_the_client() -> None:
    lab = Lab()
    _, first = lab.connect()
    lost: list[bytes] = []

    def drop(data: bytes, source: object, _target: object) -> bool:
        if source == device(2) and any(record.epoch == 1 for record in split(data, 8)) and len(lost) < 2:
            lost.append(data)
            return True
        return False

    lab.link.drop = drop
    client, again = lab.connect(target=Target(server_name="eim.example.com", session=first.session), number=2)
    lab.link.run(30.0, lambda: len(lab.up()) == 2)
    assert len(lost) == 2
    assert lab.echo(client, again) == b"HELLO"


# ---- floods


def first_hello(number: int, *, cookie: bytes = b"") -> tuple[bytes, DtlsEndpoint]:
    client = DtlsEndpoint(client_config(), entropy=SeededEntropy(("flood", number)))
    client.connect(SERVER, START, TARGET)
    [(data, _)] = client.datagrams_to_send()
    return data, client


def test_10000_hellos_from_strangers_leave_nothing_and_are_not_amplified() -> None:
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    hello, _ = first_hello(1)
    for number in range(10_000):
        assert server.receive(hello, device(number), START) == []
    sent = server.datagrams_to_send()
    assert len(sent) == 10_000
    assert sum(len(data) for data, _ in sent) < 10_000 * len(hello) / 2
    assert server.half_open == server.associations == 0
    assert server.next_deadline() is None
    assert server._by_cid == {}


@pytest.mark.parametrize(
    ("session_id", "behind", "is_asked"),
    [
        (b"", b"\0\2\xc0\x2b\1\0", True),
        (bytes(32), b"", True),
        (b"", b"\xff" * 40, True),
        (bytes(33), b"\0\2\xc0\x2b\1\0", False),
    ],
    ids=["whole", "cut off", "nonsense behind the cookie", "session id too long"],
)
def test_of_a_stranger_only_what_its_cookie_needs_is_read(
    session_id: bytes, behind: bytes, is_asked: bool
) -> None:
    """The answer is smaller than the hello; what brings the cookie back is read as a whole."""
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    start = b"\xfe\xfd" + bytes(range(32)) + bytes((len(session_id),)) + session_id

    def say(cookie: bytes) -> list[bytes]:
        body = start + bytes((len(cookie),)) + cookie + behind
        hello = clear_record(HANDSHAKE, 0, HandshakeMessage(CLIENT_HELLO, 0, body).encode())
        assert server.receive(hello, device(), START) == []
        answers = [data for data, _ in server.datagrams_to_send()]
        assert sum(map(len, answers)) < len(hello) or cookie
        return answers

    answers = say(b"")
    assert len(answers) == is_asked
    assert server.half_open == 0
    if is_asked and behind[:1] != b"\0":
        [record] = split(answers[0], 0)
        assert say(record.fragment[-16:]) == []
        assert server.half_open == 0


def test_10000_half_open_handshakes_are_bounded_and_a_good_client_still_comes_in() -> None:
    config = server_config(half_open=200)
    lab = Lab(config)
    for number in range(10_000):
        hello, client = first_hello(number % 50)
        address = (f"203.0.113.{number % 250}", number)
        lab.server.receive(hello, address, START)
        for data, _ in lab.server.datagrams_to_send():
            client.receive(data, SERVER, START)
        for data, _ in client.datagrams_to_send():
            lab.server.receive(data, address, START)
        lab.server.datagrams_to_send()
        assert lab.server.half_open <= 200
        assert len(lab.server._by_cid) <= 200
    client, association = lab.connect()
    assert lab.echo(client, association) == b"HELLO"
    lab.link.run(1000.0)
    assert lab.server.half_open == 0
    assert len(lab.server._by_cid) == 1


@pytest.mark.parametrize("cid_octets", [8, None])
def test_who_never_finishes_its_handshake_cannot_leave_data_without_end(cid_octets: int | None) -> None:
    lab = Lab(server_config(cid_octets=cid_octets))
    lab.link.drop = lambda data, source, _target: (
        source == device() and any(record.type == 20 for record in split(data, 8))  # with its Finished
    )
    client = lab.client()
    association = client.connect(SERVER, lab.link.now, TARGET)
    lab.link.run(3.0)
    [handshake] = lab.server._half_open.values()
    lab.link.drop = lambda *_: False
    key_exchange = client._half_open[SERVER]._flight[0]
    assert isinstance(key_exchange, HandshakeMessage)
    lab.link.post(clear_record(HANDSHAKE, 9, key_exchange.encode()), device(), SERVER)
    lab.link.run(0.1)
    assert handshake.association.has_keys
    for _ in range(40):
        lab.link.post(association.seal(23, bytes(1000)), device(), SERVER)
    lab.link.run(0.1)
    assert lab.link.seen(Data, SERVER) == []
    assert len(handshake.early) + len(handshake.early_data) == EARLY_RECORDS
    lab.link.run(5.0, lambda: client.is_up(association))
    assert len(lab.link.seen(Data, SERVER)) == EARLY_RECORDS


def test_an_address_that_begins_too_often_is_not_heard_and_the_others_are() -> None:
    """Signatures are what a handshake costs; a peer whose cookie is right can still be told to wait."""
    begun: list[object] = []

    def admits(address: Any, _now: float) -> bool:
        begun.append(address)
        return address != device(1)

    lab = Lab(server_config(admits=admits))
    refused, association = lab.connect(number=1)
    assert not refused.is_up(association)
    assert lab.server.half_open == 0
    assert lab.echo(*lab.connect(number=2)) == b"HELLO"
    assert set(begun) == {device(1), device(2)}


def with_cookie(hello: bytes, verify: bytes, sequence: int = 1) -> bytes:
    """The second hello of the first, with the cookie of a HelloVerifyRequest."""
    body = hello[25:]
    cookie = verify[25 + 3 :]
    session_end = 35 + body[34]
    rest = body[session_end + 1 + body[session_end] :]
    made = body[:session_end] + bytes((len(cookie),)) + cookie + rest
    return clear_record(HANDSHAKE, sequence, HandshakeMessage(CLIENT_HELLO, sequence, made).encode())


@pytest.mark.parametrize(
    ("address", "later_s", "is_good"),
    [(device(1), 0, True), (device(1), 299, True), (device(1), 700, False), (device(2), 0, False)],
)
def test_a_cookie_is_good_for_its_address_and_for_a_while(
    address: Any, later_s: float, is_good: bool
) -> None:
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    hello, _ = first_hello(1)
    server.receive(hello, device(1), START)
    [(verify, _)] = server.datagrams_to_send()
    server.receive(with_cookie(hello, verify), address, START + later_s)
    assert server.half_open == is_good


def test_a_hello_in_fragments_leaves_nothing() -> None:
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    hello, _ = first_hello(1)
    message = HandshakeMessage(CLIENT_HELLO, 0, hello[25:])
    server.receive(clear_record(HANDSHAKE, 0, message.fragment(0, 50)), device(), START)
    assert server.datagrams_to_send() == []
    assert server.half_open == 0


def test_the_repetition_of_a_flight_is_rate_limited_per_handshake() -> None:
    server = DtlsEndpoint(server_config(), entropy=SeededEntropy(1))
    hello, _ = first_hello(1)
    server.receive(hello, device(), START)
    [(verify, _)] = server.datagrams_to_send()
    second = with_cookie(hello, verify)
    for turn in range(100):
        server.receive(second, device(), START + turn / 1000)
    assert len(server.datagrams_to_send()) <= 2


# ---- a live association under attack


def test_a_hello_with_a_forged_address_does_not_harm_the_live_association() -> None:
    for cid_octets in (8, None):
        lab = Lab(server_config(cid_octets=cid_octets))
        client, association = lab.connect()
        hello, _ = first_hello(99)
        lab.link.post(hello, device(), SERVER)
        lab.link.run(1.0)
        assert lab.echo(client, association) == b"HELLO"


def test_a_new_handshake_replaces_the_association_of_its_address_only_when_it_has_finished() -> None:
    lab = Lab(server_config(cid_octets=None))
    client, old = lab.connect()
    new = client.connect(SERVER, lab.link.now, TARGET)
    assert lab.echo(client, old) == b"HELLO"
    lab.link.run(10.0, lambda: new.handshake is None)
    lab.link.run(0.2)
    assert [event.reason for event in lab.link.seen(Down, SERVER)] == ["replaced"]
    assert lab.server.associations == 1
    assert lab.echo(client, new) == b"HELLO"


def test_alerts_and_garbage_in_the_clear_do_not_end_an_association() -> None:
    lab = Lab()
    client, association = lab.connect()
    chance = random.Random(3)
    for kind in (20, 21, 22, 23, 25):
        for data in (b"\x02\x28", b"\x01\x00", chance.randbytes(40)):
            lab.link.post(clear_record(kind, 9, data), device(), SERVER)
            lab.link.post(clear_record(kind, 9, data), SERVER, device())
    lab.link.run(2.0)
    assert lab.link.seen(Down) == []
    assert lab.echo(client, association) == b"HELLO"


def test_closing_is_told_to_the_peer() -> None:
    lab = Lab()
    client, association = lab.connect()
    assert [event.reason for event in client.close(association, lab.link.now)] == ["closed"]
    lab.link.run(1.0)
    assert [event.reason for event in lab.link.seen(Down, SERVER)] == ["closed"]
    assert lab.server.associations == client.associations == 0
    client.send(association, b"late", lab.link.now)
    assert client.datagrams_to_send() == []


def test_a_renegotiation_is_refused_and_the_association_lives() -> None:
    lab = Lab()
    client, association = lab.connect()
    hello = HandshakeMessage(CLIENT_HELLO, 7, bytes(60)).encode()
    lab.link.post(association.seal(22, hello), device(), SERVER)
    before = len(lab.link.sent)
    lab.link.drop = lambda _data, source, _target: source == SERVER  # the test itself reads the answer
    lab.link.run(1.0)
    [(_, _, answer)] = lab.link.sent[before:]
    lab.link.drop = lambda *_: False
    [record] = split(answer, 0)
    assert association.open(record) == (21, b"\x01\x64")
    assert lab.echo(client, association) == b"HELLO"


def test_replayed_and_reordered_records_are_taken_once() -> None:
    lab = Lab()
    _, association = lab.connect()
    records = [association.seal(23, bytes([n])) for n in range(10)]
    for n in (3, 1, 1, 9, 3, 0, 9):
        lab.link.post(records[n], device(), SERVER)
        lab.link.run(1.0)
    assert [event.data for event in lab.link.seen(Data, SERVER)] == [b"\3", b"\1", b"\x09", b"\0"]


def test_the_least_recently_heard_association_goes_first() -> None:
    lab = Lab(server_config(associations=3))
    ends = [lab.connect(number=number) for number in (1, 2, 3)]
    lab.link.run(0.2)
    assert lab.echo(*ends[0]) == b"HELLO"
    lab.connect(number=4)
    lab.link.run(0.2)
    [down] = lab.link.seen(Down, SERVER)
    assert down.reason == "evicted"
    assert down.association.address == device(2)
    assert lab.echo(*ends[0]) == b"HELLO"
    assert lab.echo(*ends[1]) is None


# ---- moves


def outside(number: int) -> tuple[str, int]:
    return (f"203.0.113.{number}", 5000 + number)


def test_a_device_goes_on_from_new_addresses_in_one_round_trip() -> None:
    lab = Lab()
    client, association = lab.connect()
    for number in range(1, 6):
        lab.link.now += 100.0
        lab.link.translate[device()] = outside(number)
        sent = len(lab.link.sent)
        assert lab.echo(client, association) == b"HELLO"
        assert len(lab.link.sent) - sent == 2
    assert [event.new for event in lab.link.seen(Moved, SERVER)] == [outside(n) for n in range(1, 6)]


def test_without_connection_id_a_moved_device_is_not_heard_and_resumes() -> None:
    lab = Lab(server_config(cid_octets=None))
    client, association = lab.connect()
    lab.link.translate[device()] = outside(1)
    assert lab.echo(client, association) is None
    again = client.connect(
        SERVER, lab.link.now, Target(server_name="eim.example.com", session=association.session)
    )
    lab.link.run(10.0, lambda: again.handshake is None)
    assert again.is_resumed
    assert lab.echo(client, again) == b"HELLO"


def test_only_the_newest_record_moves_an_association() -> None:
    lab = Lab()
    _, association = lab.connect()
    old, new = association.seal(23, b"old"), association.seal(23, b"new")
    lab.link.post(new, device(), SERVER)
    lab.link.run(1.0)
    lab.link.post(old, outside(9), SERVER)
    lab.link.run(1.0)
    lab.link.post(new, outside(9), SERVER)
    lab.link.run(1.0)
    assert lab.link.seen(Moved) == []
    assert [event.data for event in lab.link.seen(Data, SERVER)] == [b"new", b"old"]


def test_a_captured_record_does_not_turn_us_against_a_third_party() -> None:
    """To a new address go at most three times the octets that came from it, until it has spoken twice."""
    lab = Lab()
    _, association = lab.connect()
    lab.link.run(1.0)
    captured = association.seal(23, b"x")
    [served] = lab.server._live
    lab.server.receive(captured, outside(1), lab.link.now)
    lab.server.datagrams_to_send()
    for _ in range(100):
        lab.server.send(served, bytes(20), lab.link.now)
    assert 0 < sum(len(data) for data, _ in lab.server.datagrams_to_send()) <= 3 * len(captured)
    lab.server.receive(association.seal(23, b"y"), outside(1), lab.link.now)
    for _ in range(100):
        lab.server.send(served, bytes(20), lab.link.now)
    assert len(lab.server.datagrams_to_send()) == 100


def test_one_datagram_of_two_records_is_one_word_from_a_new_address() -> None:
    """Else whoever captured a single datagram could turn us against a third party."""
    lab = Lab()
    _, association = lab.connect()
    lab.link.run(1.0)
    captured = association.seal(23, b"x") + association.seal(23, b"y")
    [served] = lab.server._live
    lab.server.receive(captured, outside(1), lab.link.now)
    for _ in range(100):
        lab.server.send(served, bytes(20), lab.link.now)
    assert 0 < sum(len(data) for data, _ in lab.server.datagrams_to_send()) <= 3 * len(captured)


def test_a_peer_that_moves_does_not_take_the_place_of_another_at_its_new_address() -> None:
    """Who has no connection id is known by its address, whoever else claims to speak from there."""
    lab = Lab()
    quiet = lab.connect(client_config(cid_octets=None), number=1)
    _, mover = lab.connect(number=2)
    assert lab.echo(*quiet) == b"HELLO"
    lab.link.now += 10.0
    lab.link.post(mover.seal(23, b"x"), device(1), SERVER)
    lab.link.run(1.0)
    assert [event.new for event in lab.link.seen(Moved, SERVER)] == [device(1)]
    assert lab.echo(*quiet) == b"HELLO"
    assert lab.server.associations == 2


def test_moves_are_rate_limited() -> None:
    lab = Lab()
    _, association = lab.connect()
    lab.link.run(1.0)
    now = lab.link.now
    events = []
    for number in range(20):
        events += lab.server.receive(association.seal(23, b"x"), outside(number), now + number / 10)
    assert len([event for event in events if isinstance(event, Moved)]) == 2
    assert len([event for event in events if isinstance(event, Data)]) == 20


def test_two_devices_behind_one_address_are_told_apart_by_their_ids() -> None:
    lab = Lab()
    first, second = lab.connect(number=1), lab.connect(number=2)
    lab.link.run(1.0)
    for client, association in (first, second, first):
        client.send(association, b"hello", lab.link.now)
        for data, _ in client.datagrams_to_send():
            [event] = [e for e in lab.server.receive(data, outside(1), lab.link.now) if isinstance(e, Data)]
            assert event.association.peer_cid == b""
            assert event.association.own_cid == association.peer_cid
        lab.link.now += 10.0


def test_a_datagram_for_another_worker_is_handed_on() -> None:
    lab = Lab(server_config(worker=3))
    _, association = lab.connect()
    assert association.peer_cid[0] == 3
    other = DtlsEndpoint(server_config(worker=4), entropy=SeededEntropy(4))
    datagram = association.seal(23, b"hello")
    assert other.receive(datagram, device(), START) == [Foreign(3, datagram, device())]
    assert other.datagrams_to_send() == []


# ---- restarts


def test_associations_outlive_a_restart_of_the_server() -> None:
    lab = Lab()
    ends = [lab.connect(number=number) for number in (1, 2, 3)]
    lab.link.run(1.0)
    stored = lab.server.snapshots()
    used = [association.write_sequence for association in lab.server._live]
    captured = ends[0][1].seal(23, b"before")
    [event] = lab.server.receive(captured, device(), lab.link.now)
    stored = lab.server.snapshots()
    fresh = DtlsEndpoint(server_config(), entropy=SeededEntropy("after"))
    for data in stored:
        fresh.restore(data, lab.link.now)
    fresh.snapshots()
    assert fresh.receive(captured, device(), lab.link.now) == [], "replayed over the restart"
    assert isinstance(event, Data)
    lab.server = fresh
    lab.link.join(SERVER, fresh)
    assert [a.write_sequence for a in fresh._live] == [n + (1 << 16) for n in used]
    lab.link.translate[device(2)] = outside(2)  # the second has moved meanwhile
    for client, association in ends:
        assert lab.echo(client, association) == b"HELLO"


def test_a_new_snapshot_is_asked_for_before_the_skipped_numbers_are_used_up() -> None:
    lab = Lab()
    lab.connect()
    lab.link.run(1.0)
    [association] = lab.server._live
    lab.server.snapshots()
    events: list[Any] = []
    for _ in range(SNAPSHOT_RECORDS + 5):
        lab.server.send(association, b"x", lab.link.now)
    lab.server.datagrams_to_send()
    events += lab.server.handle_timer(lab.link.now)
    assert events == [SnapshotDue(association)]


def test_two_restarts_from_one_snapshot_cannot_use_a_nonce_twice() -> None:
    """Whoever restores must store a new snapshot before anything is sent; who does not is silent."""
    lab = Lab()
    client, association = lab.connect()
    lab.link.run(1.0)
    [data] = lab.server.snapshots()
    careless = DtlsEndpoint(server_config(), entropy=SeededEntropy("careless"))
    again = careless.restore(data, lab.link.now)
    careless.send(again, b"x", lab.link.now)
    assert careless.datagrams_to_send() == []
    assert [event.reason for event in careless.handle_timer(lab.link.now)] == ["dtls.unsaved"]
    careful = DtlsEndpoint(server_config(), entropy=SeededEntropy("careful"))
    again = careful.restore(data, lab.link.now)
    assert careful.snapshot(again) is not None
    lab.server = careful
    lab.link.join(SERVER, careful)
    assert lab.echo(client, association) == b"HELLO"


def test_an_association_whose_snapshots_are_not_stored_ends_before_a_restart_could_repeat_a_nonce() -> None:
    lab = Lab()
    lab.connect()
    lab.link.run(1.0)
    [association] = lab.server._live
    lab.server.snapshots()
    for _ in range(SKIP + 5):
        lab.server.send(association, b"x", lab.link.now)
    assert len(lab.server.datagrams_to_send()) == SKIP
    assert not lab.server.is_up(association)


def test_what_changed_is_told_to_whoever_keeps_snapshots() -> None:
    lab = Lab()
    lab.server.changed = set()
    client, association = lab.connect()
    lab.link.run(1.0)
    [served] = lab.server._live
    assert lab.server.changed == {served}
    lab.server.changed.clear()
    assert lab.echo(client, association) == b"HELLO"
    assert lab.server.changed == {served}
    client.close(association, lab.link.now)
    lab.link.run(1.0)
    assert lab.server.changed == set()
    assert lab.server.snapshot(served) is None


@pytest.mark.parametrize(("worker", "workers"), [(0, 1), (2, 3), (254, 255), (7, 8)])
def test_the_owner_of_an_association_is_its_first_octet_modulo_the_number_of_workers(
    worker: int, workers: int
) -> None:
    lab = Lab(server_config(worker=worker, workers=workers))
    firsts = {lab.connect(number=number)[1].peer_cid[0] for number in range(1, 9)}
    assert {first % workers for first in firsts} == {worker}
    assert len(firsts) > 1 or workers > 128


def test_a_restored_association_takes_the_place_of_the_one_that_has_its_id() -> None:
    lab = Lab()
    lab.connect()
    lab.link.run(1.0)
    [data] = lab.server.snapshots()
    lab.server.restore(data, lab.link.now)
    assert lab.server.associations == 1


# ---- whatever comes


def mutated(chance: random.Random, datagram: bytes) -> bytes:
    data = bytearray(datagram)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place + 1 :]
            case 2:
                data[place:place] = chance.randbytes(chance.randint(1, 5))
            case _:
                data[place] = chance.randrange(256)
    return bytes(data)


CONFIGS: list[tuple[DtlsConfig, DtlsConfig]] = [
    (server_config(**MUTUAL), client_config(credentials=(ipa().credential,))),
    (server_config(resumption="tickets"), client_config(resumption="tickets")),
    (server_config(credentials=(eim().raw,), cid_octets=None), client_config(trust=client_config().trust)),
]


@pytest.mark.parametrize("index", range(len(CONFIGS)))
def test_mutated_datagrams_raise_nothing_and_others_are_unharmed(index: int) -> None:
    """About 7,000 each; a bystander goes on, and afterwards a new handshake succeeds."""
    server, client = CONFIGS[index]
    lab = Lab(server_config(**MUTUAL) if index == 0 else server)
    chance = random.Random(index)
    fed = 0
    bystander = None if index == 2 else lab.connect(client, number=200)
    turn = 0
    while fed < 7000:
        turn += 1
        victim = DtlsEndpoint(client, entropy=SeededEntropy(("victim", turn)))
        now = START + turn
        address = device(turn % 100)
        association = victim.connect(SERVER, now, TARGET)
        for _ in range(5):
            for sender, receiver, source in ((victim, lab.server, address), (lab.server, victim, SERVER)):
                for data, target in sender.datagrams_to_send():
                    if target not in (SERVER, address):
                        continue
                    for _ in range(3):
                        receiver.receive(mutated(chance, data), source, now)
                        fed += 1
                    if chance.random() < 0.9:
                        for event in receiver.receive(data, source, now):
                            if isinstance(event, Up) and receiver is victim:
                                victim.send(association, b"x" * 30, now)
        lab.server.handle_timer(now)
    lab.link.now = START + turn + 200
    if bystander is not None:
        assert lab.echo(*bystander) == b"HELLO"
    if index != 2:
        fresh, association = lab.connect(client, number=201)
        assert lab.echo(fresh, association) == b"HELLO"
    assert lab.server.half_open <= 100


def test_expanded_keys_are_kept_for_the_warm_only_and_made_again_for_the_others() -> None:
    lab = Lab(server_config(warm_associations=2))
    ends = [lab.connect(number=number) for number in range(1, 7)]
    lab.link.run(0.2)
    for client, association in ends + ends[::-1]:
        assert lab.echo(client, association) == b"HELLO"
        assert sum(a._sealer is not None for a in lab.server._live) <= 2
