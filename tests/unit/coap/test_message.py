"""CoAP messages: the vectors of RFC 7252/7959 as the transports sheet writes them, and what is refused."""

from __future__ import annotations

import pytest

from keim.errors import Malformed, Unencodable
from keim.wire.coap.block import Block, block_at, decode_block
from keim.wire.coap.message import Message, decode, encode, unsigned
from keim.wire.coap.numbers import ACK, CON, CONTINUE, POST, code_text

PATH = ((11, b"gsma"), (11, b"rsp2"), (11, b"asn1"))
BLOCK1_FIRST = bytes.fromhex(
    "41021234AA B467736D61 0472737032 0461736E31 112A D1021E FF0102".replace(" ", "")
)

VECTORS = {
    "first block of a request": (
        BLOCK1_FIRST,
        Message(CON, POST, 0x1234, b"\xaa", (*PATH, (12, b"\x2a"), (27, b"\x1e")), b"\x01\x02"),
    ),
    "its continue": (
        bytes.fromhex("615F1234AAD10E1E"),
        Message(ACK, CONTINUE, 0x1234, b"\xaa", ((27, b"\x1e"),)),
    ),
    "answer with both blocks": (
        bytes.fromhex("61441236AAC12AB10E4126121B58FF00"),
        Message(
            ACK,
            0x44,
            0x1236,
            b"\xaa",
            ((12, b"\x2a"), (23, b"\x0e"), (27, b"\x26"), (28, b"\x1b\x58")),
            b"\0",
        ),
    ),
    "empty": (bytes.fromhex("60001234"), Message(ACK, 0, 0x1234)),
    "long option": (
        bytes.fromhex("40010001") + b"\xde\x00\x00\x1f" + b"a" * 300,
        Message(CON, 1, 1, b"", ((13, b"a" * 300),)),
    ),
    "far option": (bytes.fromhex("40010001E0FDF5"), Message(CON, 1, 1, b"", ((65282, b""),))),
}


@pytest.mark.parametrize("name", VECTORS)
def test_messages_match_their_vectors_both_ways(name: str) -> None:
    octets, message = VECTORS[name]
    assert decode(octets) == message
    assert encode(message) == octets


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        ("", 0),
        ("400100", 3),
        ("80010001", 0),  # version 2
        ("49010001" + "00" * 9, 0),  # token of nine octets
        ("42010001AA", 0),  # token cut short
        ("40010001FF", 4),  # marker without payload
        ("40010001B4676D", 5),  # option cut short
        ("40010001F0", 5),  # delta 15
        ("400100010F", 5),  # length 15
        ("40010001D0", 5),  # extended delta missing
        ("40010001E0FF", 5),
        ("4000000100", 4),  # empty with something in it
        ("40010001E0FFFF", 7),  # number beyond 16 bits
    ],
)
def test_malformed_octets_are_refused_with_their_place(octets: str, offset: int) -> None:
    with pytest.raises(Malformed) as caught:
        decode(bytes.fromhex(octets))
    assert caught.value.offset == offset
    assert caught.value.code == "coap.malformed"


@pytest.mark.parametrize(
    "message",
    [
        Message(CON, 1, 1, bytes(9)),
        Message(CON, 1, 1, b"", ((12, b""), (11, b""))),
        Message(CON, 1, 1, b"", ((12, bytes(70000)),)),
    ],
)
def test_messages_without_an_encoding_are_refused(message: Message) -> None:
    with pytest.raises(Unencodable):
        encode(message)


@pytest.mark.parametrize(
    ("octets", "block"),
    [
        ("", Block(0, False, 0)),
        ("1e", Block(1, True, 6)),
        ("06", Block(0, False, 6)),
        ("fffffe", Block(0xFFFFF, True, 6)),
    ],
)
def test_blocks_match_their_octets(octets: str, block: Block) -> None:
    assert decode_block(bytes.fromhex(octets)) == block
    assert block.encode().hex() == octets


@pytest.mark.parametrize("octets", ["07", "0f", "00000000"])
def test_blocks_that_udp_does_not_know_are_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        decode_block(bytes.fromhex(octets))


def test_the_last_block_says_so() -> None:
    assert block_at(1024, 6, 2049) == Block(1, True, 6)
    assert block_at(1024, 6, 2048) == Block(1, False, 6)
    assert block_at(2048, 5, 2049) == Block(4, False, 5)


def test_small_things() -> None:
    assert (unsigned(0), unsigned(42), unsigned(7000)) == (b"", b"\x2a", b"\x1b\x58")
    assert code_text(0x84) == "4.04"
