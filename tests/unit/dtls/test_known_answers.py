"""Known answers: key derivation, and records with and without connection id (made once, interoperated)."""

from __future__ import annotations

from hashlib import sha256

import pytest

from keim.wire.dtls import prf
from keim.wire.dtls.association import Association
from keim.wire.dtls.records import split
from keim.wire.dtls.suites import SUITE_OF

MASTER = bytes(range(48))
CLIENT_RANDOM, SERVER_RANDOM = b"\x01" * 32, b"\x02" * 32
CID = bytes(range(1, 9))

RECORDS = {
    (0xC0AE, b""): "17fefd0001000000000005001500010000000000 05ca6a37e779af7693acfd8b3234",
    (0xC02B, b""): "17fefd0001000000000005001d0001000000000005233f98a32b3fda8a796b612edd873d4cf49226ad01",
    (0xC0AE, CID): "19fefd00010000000000050102030405060708001600010000000000 05ca6a37e779622e4563715687e384",
    (0xC02B, CID): "19fefd00010000000000050102030405060708001e0001000000000005233f98a32b2ddaca496275a03a0ad3"
    "e21b499e72aff1",
}


def test_the_function_gives_the_published_octets() -> None:
    made = prf.prf(
        "sha256",
        bytes.fromhex("9bbe436ba940f017b17652849a71db35"),
        b"test label",
        bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c"),
        48,
    )
    assert made.hex() == (
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
    )


def test_keys_are_cut_from_the_known_block() -> None:
    block = prf.key_block("sha256", MASTER, CLIENT_RANDOM, SERVER_RANDOM, 40)
    assert block.hex() == ("bf4ab9777a81b0138d80acf5969e0f659f0c1c5ca8c3d4508ecd85ecaa93090e325565abf4bcfea0")


def test_the_extended_master_secret_and_finished_match() -> None:
    digest = sha256(b"abc").digest()
    assert prf.extended_master("sha256", b"\x0a" * 32, digest).hex() == (
        "34564535c6ca9e6498f310bc0c7735e4d529a96d9ed279c3416ac5e7566cebd6c22253dd12bcef116b05df8b6c2490f3"
    )
    made = prf.verify_data("sha256", MASTER, is_client=True, digest=digest)
    assert made.hex() == "2e723a1a81c1f0d7fed5d17c"


def end(number: int, cid: bytes, *, is_client: bool) -> Association:
    association = Association("x", is_client=is_client)
    block = prf.key_block("sha256", MASTER, CLIENT_RANDOM, SERVER_RANDOM, 40)
    association.set_keys(SUITE_OF[number], block)
    if is_client:
        association.peer_cid = cid
    else:
        association.own_cid = cid
    return association


@pytest.mark.parametrize(("number", "cid"), RECORDS)
def test_records_match_their_vectors_both_ways(number: int, cid: bytes) -> None:
    octets = bytes.fromhex(RECORDS[number, cid].replace(" ", ""))
    client, server = end(number, cid, is_client=True), end(number, cid, is_client=False)
    client.write_sequence = 5
    assert client.seal(23, b"hello") == octets
    [record] = split(octets, 8)
    assert server.open(record) == (23, b"hello")
    assert server.open(record) is None, "a replayed record"


def test_a_shared_key_stands_in_the_pre_master_secret() -> None:
    assert prf.psk_pre_master(b"abc").hex() == "00030000000003616263"
    assert prf.psk_pre_master(b"abc", b"zz").hex() == "00027a7a0003616263"
