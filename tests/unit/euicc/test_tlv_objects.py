"""RETRIEVE DATA and SET DATA on the BER-TLV files of a public test profile."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.euicc.card import Card

TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"

pytestmark = needs_shared


@pytest.fixture
def card() -> Card:
    """On 6FFE of the USIM, with the right to write."""
    made = new_card(TS48)
    assert send(made, "0020000A08" + "35" * 8) == "9000"
    select_usim(made)
    response = select(made, "6FFE")
    assert "82027921" in response
    return made


def test_an_object_is_stored_listed_read_and_deleted(card: Card) -> None:
    assert send(card, "80DB00800481020102") == "9000"
    assert send(card, "80DB0080069F2103030405") == "9000"
    assert send(card, "80CB0080015C") == "5C03819F219000"
    assert send(card, "80CB008001 81") == "810201029000"
    assert send(card, "80CB008002 9F21") == "9F21030304059000"
    card.reset()
    select_usim(card)
    select(card, "6FFE")
    assert send(card, "80CB008001 81") == "810201029000"
    assert send(card, "80DB0080028100") == "6982"
    send(card, "0020000A08" + "35" * 8)
    assert send(card, "80DB0080028100") == "9000"
    assert send(card, "80CB008001 81") == "6A88"
    assert send(card, "80DB0080028100") == "6A88"


def test_a_long_object_goes_in_blocks(card: Card) -> None:
    value = bytes(range(250)) * 3
    whole = b"\x81\x82" + len(value).to_bytes(2, "big") + value
    blocks = [whole[i : i + 200] for i in range(0, len(whole), 200)]
    for number, block in enumerate(blocks):
        p2, last = "00" if number else "80", number == len(blocks) - 1
        expected = "9000" if last else "63F1"
        assert send(card, f"80DB00{p2}{len(block):02X}{block.hex()}") == expected
    read, response = b"", bytes.fromhex(send(card, "80CB00800181"))
    while response[-2:] == b"\x62\xf1":
        read += response[:-2]
        response = bytes.fromhex(send(card, "80CB0000"))
    assert read + response[:-2] == whole
    assert send(card, "80CB0000") == "6985"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("80CB00800182", "6A88"),
        ("80CB008004 01020304", "6700"),
        ("80CB0080", "6700"),
        ("80CB0000", "6985"),
        ("80CB01800181", "6A86"),
        ("80CB00C00181", "6A86"),
        ("80DB000001FF", "6985"),
        ("80DB0080", "6700"),
        ("80DB00800181", "6A80"),
        ("80DB0080028180", "6A80"),
        ("80DB00800381820A", "6A80"),
        ("80DB0080058101FF8200", "6A80"),
        ("80DB0080048182FFFF", "6A84"),
        ("00B0000001", "6981"),
        ("00B2010400", "6981"),
    ],
)
def test_what_is_refused(card: Card, apdu: str, word: str) -> None:
    assert send(card, apdu) == word


def test_the_file_does_not_overflow(card: Card) -> None:
    whole = b"\x81\x82\x03\x00" + bytes(0x300)
    for start in range(0, len(whole), 250):
        block = whole[start : start + 250]
        send(card, f"80DB00{'00' if start else '80'}{len(block):02X}{block.hex()}")
    again = b"\x82\x82\x03\x00" + bytes(0x300)
    words = []
    for start in range(0, len(again), 250):
        block = again[start : start + 250]
        words.append(send(card, f"80DB00{'00' if start else '80'}{len(block):02X}{block.hex()}"))
    assert words == ["63F1", "63F1", "63F1", "6A84"]
    assert send(card, "80CB0080015C") == "5C01819000"


def test_a_transparent_file_holds_no_objects(card: Card) -> None:
    select(card, "6F07")
    assert send(card, "80CB00800181") == "6981"
    assert send(card, "80DB0080028100") == "6981"
