"""Records and fragments: the replay window, what is forged, and messages in pieces."""

from __future__ import annotations

import random

import pytest
from tests.unit.dtls.test_known_answers import CID, end

from keim.errors import Malformed, Refused
from keim.wire.dtls.association import FAILURES_ALLOWED, SKIP, restored, snapshot
from keim.wire.dtls.fragments import AHEAD, LARGEST, HandshakeMessage, Reassembly, read_fragments
from keim.wire.dtls.records import Record, split

GCM, CCM_8 = 0xC02B, 0xC0AE


def sealed(number: int, count: int, cid: bytes = b"") -> list[Record]:
    client = end(number, cid, is_client=True)
    return [next(iter(split(client.seal(23, bytes([n])), len(cid)))) for n in range(count)]


@pytest.mark.parametrize("cid", [b"", CID])
def test_the_window_takes_each_record_once_and_none_that_is_too_old(cid: bytes) -> None:
    records = sealed(CCM_8, 200, cid)
    server = end(CCM_8, cid, is_client=False)
    order = [5, 3, 4, 70, 6, 7, 69, 199, 136, 135, 198]
    taken = [n for n in order if server.open(records[n]) is not None]
    assert taken == [5, 3, 4, 70, 7, 69, 199, 136, 198]  # 6 and 135 lie 64 behind
    assert all(server.open(records[n]) is None for n in order)


def test_a_forged_record_does_not_touch_the_window() -> None:
    records = sealed(GCM, 3)
    server = end(GCM, b"", is_client=False)
    for forged in (
        Record(23, 1, 1, b"", records[0].fragment),
        Record(21, 1, 0, b"", records[0].fragment),
        Record(23, 2, 0, b"", records[0].fragment),
        Record(23, 1, 0, b"", records[0].fragment[:-1]),
        Record(23, 1, 0, b"", b""),
        Record(23, 1, (1 << 48) - 1, b"", records[0].fragment),
    ):
        assert server.open(forged) is None
    assert server.window_top == -1
    assert server.open(records[0]) == (23, b"\0")


def test_a_record_without_connection_id_is_dropped_where_one_was_agreed() -> None:
    server = end(GCM, CID, is_client=False)
    assert server.open(sealed(GCM, 1)[0]) is None


def test_short_tags_wear_out() -> None:
    server = end(CCM_8, b"", is_client=False)
    for _ in range(FAILURES_ALLOWED + 1):
        assert not server.is_worn_out
        server.open(Record(23, 1, 0, b"", bytes(30)))
    assert server.is_worn_out


def test_the_last_record_of_an_epoch_is_the_last() -> None:
    client = end(GCM, b"", is_client=True)
    client.write_sequence = 1 << 48
    with pytest.raises(Refused):
        client.seal(23, b"x")


@pytest.mark.parametrize(
    "damaged",
    ["", "17", "17fefd000000000000000000", "17030300000000000000000000", "63fefd00000000000000000000",
     "17fefd00000000000000000005aa", "19fefd000100000000000001020304"],
)  # fmt: skip
def test_what_is_no_record_is_dropped(damaged: str) -> None:
    assert list(split(bytes.fromhex(damaged), 8)) == []


def test_records_before_a_damaged_one_count() -> None:
    good = bytes.fromhex("14fefd0000000000000007000101")
    assert [record.sequence for record in split(good + good + b"\xff" * 20, 8)] == [7, 7]


# ---- snapshots


def test_a_snapshot_goes_on_ahead_and_keeps_its_window() -> None:
    client, server = end(CCM_8, CID, is_client=True), end(CCM_8, CID, is_client=False)
    records = [next(iter(split(client.seal(23, b"x"), 8))) for _ in range(10)]
    assert server.open(records[7]) is not None
    server.write_sequence = 5
    server.address = ("192.0.2.7", 5684)
    after = restored(snapshot(server), 99.0)
    assert after.write_sequence == 5 + SKIP
    assert after.address == ("192.0.2.7", 5684)
    assert after.open(records[7]) is None
    assert after.open(records[6]) == (23, b"x")
    assert after.open(records[8]) == (23, b"x")
    [record] = split(after.seal(23, b"back"), 0)
    assert client.open(record) == (23, b"back")
    assert len(snapshot(server)) < 200


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x01", snapshot(end(GCM, b"", is_client=True))[:-3]])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        restored(data, 0.0)


# ---- fragments


BODY = random.Random(1).randbytes(1000)
MESSAGE = HandshakeMessage(11, 4, BODY)


def reassembled(pieces: list[tuple[int, int]], message: HandshakeMessage = MESSAGE) -> list[HandshakeMessage]:
    reassembly = Reassembly(message.sequence)
    ready: list[HandshakeMessage] = []
    for offset, octets in pieces:
        [fragment] = read_fragments(message.fragment(offset, octets))
        ready += reassembly.add(fragment)
    return ready


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 1000)],
        [(n, 100) for n in range(0, 1000, 100)],
        [(n, 100) for n in range(900, -1, -100)],
        [(0, 600), (300, 700)],
        [(500, 500), (0, 200), (100, 300), (150, 400)],
        [(0, 100), (0, 100), (0, 1000)],
        [(0, 0), (999, 1), (0, 999)],
    ],
)
def test_fragments_come_in_any_order_and_overlap(pieces: list[tuple[int, int]]) -> None:
    assert reassembled(pieces) == [MESSAGE]


def test_a_gap_is_not_filled_by_nothing() -> None:
    assert reassembled([(0, 500), (501, 499)]) == []


def test_messages_are_given_out_in_their_order() -> None:
    messages = [HandshakeMessage(11, n, bytes([n]) * n) for n in range(4)]
    reassembly = Reassembly(0)
    ready: list[HandshakeMessage] = []
    for n in (3, 1, 0, 2):
        [fragment] = read_fragments(messages[n].encode())
        ready += reassembly.add(fragment)
    assert ready == messages


def test_what_lies_too_far_ahead_or_is_too_much_is_not_kept() -> None:
    reassembly = Reassembly(0)
    for sequence in (AHEAD + 1, 65535):
        [fragment] = read_fragments(HandshakeMessage(11, sequence, b"x").encode())
        assert reassembly.add(fragment) == []
    for sequence in range(1, 9):
        [fragment] = read_fragments(HandshakeMessage(11, sequence, bytes(LARGEST // 2)).fragment(0, 10))
        reassembly.add(fragment)
    assert reassembly._octets <= LARGEST


def test_a_fragment_that_contradicts_the_first_is_dropped() -> None:
    reassembly = Reassembly(4)
    for message in (MESSAGE, HandshakeMessage(11, 4, BODY + b"x"), HandshakeMessage(12, 4, BODY)):
        [fragment] = read_fragments(message.fragment(0, 500))
        reassembly.add(fragment)
    [rest] = read_fragments(MESSAGE.fragment(500, 500))
    assert reassembly.add(rest) == [MESSAGE]


@pytest.mark.parametrize(
    "octets", ["0b", "0b0000050000000000000006", "0b000001000000000100000161", "0bffffff0000000000000000"]
)
def test_impossible_fragments_are_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        list(read_fragments(bytes.fromhex(octets)))
