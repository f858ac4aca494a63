"""Octets that are no request: the standard's error where there is one, else the status word of the sheet."""

from __future__ import annotations

import random

import pytest
from tests.card_invariants import check
from tests.card_lab import Lab

from keim.der import tlv
from keim.euicc.es10.table import FUNCTIONS

UNREADABLE = {
    0xBF28: "BF280381017F",
    0xBF29: "BF290380017F",
    0xBF2B: "BF2B0381017F",
    0xBF2D: "BF2D03810101",
    0xBF30: "BF300380017F",
    0xBF31: "BF310380017F",
    0xBF32: "BF320380017F",
    0xBF33: "BF330380017F",
    0xBF34: "BF340380017F",
    0xBF35: "BF3503810102",
    0xBF3F: "BF3F0380017F",
    0xBF41: "BF410381017F",
    0xBF56: "BF560381017F",
    0xBF57: "BF5703810107",
    0xBF58: "BF5803020107",
    0xBF59: "BF590380017F",
    0xBF5A: "BF5A0380017F",
    0xBF5B: "BF5B0380017F",
    0xBF5C: "BF5C0380017F",
    0xBF5D: "BF5D03800107",
    0xBF5E: "BF5E03800107",
    0xBF64: "BF640380017F",
    0xBF65: "BF650380017F",
}
STATUS = {0xBF21, 0xBF38, 0xBF3E, 0xBF42, 0xBF51, 0xBF55}
WITHOUT_BODY = {0xBF20, 0xBF22, 0xBF2E, 0xBF3C, 0xBF43, 0xBF5F}
BODIES = ("80", "8005AA", "30800000", "A0", "FF", "810201")


def test_every_function_of_the_table_has_a_row_here() -> None:
    assert UNREADABLE.keys() | STATUS | WITHOUT_BODY == FUNCTIONS.keys()


@pytest.mark.parametrize("tag", sorted(FUNCTIONS), ids=lambda tag: f"{tag:04X}")
@pytest.mark.parametrize("body", BODIES)
def test_an_unreadable_body_gets_its_answer_and_changes_nothing(tag: int, body: str) -> None:
    lab = Lab(has_load_crl=True)
    before = lab.card.state
    data, word = lab.chain(tlv(tag, bytes.fromhex(body)))
    if tag in UNREADABLE:
        assert (data.hex().upper(), word) == (UNREADABLE[tag], 0x9000)
    elif tag in STATUS:
        assert (data, word) == (b"", 0x6A80)
    else:
        assert word == 0x9000
        assert data[:2] == tag.to_bytes(2, "big")
    assert lab.card.state == before


@pytest.mark.parametrize(
    ("chain", "status"),
    [
        ("BF", 0x6A80),
        ("00", 0x6A80),
        ("BF2002AA", 0x6A80),
        ("BF200000", 0x6A80),
        ("BF208100", 0x9000),
        ("BF7700", 0x6A88),
        ("8000", 0x6A88),
        ("BF3600", 0x6985),
        ("BF8001", 0x6A80),
    ],
)
def test_what_is_no_command_gets_a_status_word(chain: str, status: int) -> None:
    assert Lab(eim=False).status_of(chain) == status


def test_blocks_out_of_order_drop_the_chain() -> None:
    lab = Lab(eim=False)
    assert lab.send(bytes.fromhex("80E2110003BF3E03"))[1] == 0x9000
    assert lab.send(bytes.fromhex("80E29102035C015A"))[1] == 0x6A86
    assert lab.send(bytes.fromhex("80E29101035C015A"))[1] == 0x6A86
    assert lab.es10("BF3E035C015A")[:2] == b"\xbf\x3e"


LIKE_DER = bytes.fromhex("000102030405078081828384888AA0A1A230345A5CFF")
"""Octets that are tags and lengths more often than chance would have it."""


def test_random_commands_never_break_the_card() -> None:
    lab = Lab()
    lab.download(1)
    choose = random.Random(5)
    tags = [*sorted(FUNCTIONS), 0xBF36, 0x30, 0x80]
    for _ in range(4000):
        body = choose.randbytes(choose.randint(0, 30))
        if choose.random() < 0.5:
            body = bytes(choose.choices(LIKE_DER, k=choose.randint(0, 30)))
        if choose.random() < 0.5:
            body = tlv(choose.choice([0x80, 0x81, 0xA0, 0x5A, 0x30, 0x82, 0x5C]), body)
        tag = choose.choice(tags)
        data, word = lab.chain(tlv(tag, body))
        assert word != 0x6F00
        assert word == 0x9000 or not data
        check(lab.card)


def test_flipped_bits_in_good_commands_never_break_the_card() -> None:
    choose = random.Random(6)
    lab = Lab()
    for _ in range(400):
        good = choose.choice(
            [
                lab.package(),
                lab.authenticate_request(lab.challenge()),
                bytes.fromhex("BF6404820201FE"),
                bytes.fromhex("BF2D0EA00C5A0A98001032547698103214"),
            ]
        )
        position = choose.randrange(2, len(good))
        bad = good[:position] + bytes((good[position] ^ 1 << choose.randrange(8),)) + good[position + 1 :]
        _, word = lab.chain(bad)
        assert word != 0x6F00
        check(lab.card)
        if not lab.card.state.isdr.eims:
            lab.associate()
            lab.counter = 0


@pytest.mark.parametrize("length", ["84FFFFFFFF", "847FFFFFFF", "88FFA101FFA1A00482"])
def test_a_bit_string_longer_than_its_request_costs_nothing(length: str) -> None:
    """Tolerant readers accept long lengths; what does not fit is refused before memory is taken for it."""
    body = bytes.fromhex("81" + length + "02040000")
    assert Lab(eim=False).es10(tlv(0xBF28, body)).hex() == "bf280381017f"
