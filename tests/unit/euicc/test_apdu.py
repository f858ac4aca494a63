"""Parsing of command APDUs."""

from __future__ import annotations

import pytest

from keim.euicc.apdu import Apdu, parse
from keim.euicc.status import StatusError


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("00A40004", Apdu(0x00, 0xA4, 0, 4, b"", None, False)),
        ("00B0000010", Apdu(0x00, 0xB0, 0, 0, b"", 16, False)),
        ("00B0000000", Apdu(0x00, 0xB0, 0, 0, b"", 256, False)),
        ("00A40004023F00", Apdu(0x00, 0xA4, 0, 4, b"\x3f\x00", None, True)),
        ("00A40004023F0000", Apdu(0x00, 0xA4, 0, 4, b"\x3f\x00", 256, True)),
        ("00A40004023F0012", Apdu(0x00, 0xA4, 0, 4, b"\x3f\x00", 18, True)),
        ("80AA000000 00", Apdu(0x80, 0xAA, 0, 0, b"", 256, True)),
    ],
)
def test_the_four_cases_are_told_apart(octets: str, expected: Apdu) -> None:
    assert parse(bytes.fromhex(octets)) == expected


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        ("", 0x6700),
        ("00", 0x6700),
        ("00A400", 0x6700),
        ("00A40004023F", 0x6700),
        ("00A40004023F000000", 0x6700),
        ("00A4000400000210203F0000", 0x6700),
        ("04A40004", 0x6882),
        ("0CA40004", 0x6882),
        ("60A40004", 0x6882),
        ("E0A40004", 0x6882),
        ("10A40004", 0x6E00),
        ("20A40004", 0x6E00),
        ("A0A40004", 0x6E00),
        ("B0A40004", 0x6E00),
        ("D0A40004", 0x6E00),
        ("FFA40004", 0x6E00),
    ],
)
def test_what_is_no_short_apdu_gets_its_status_word(octets: str, word: int) -> None:
    with pytest.raises(StatusError) as refusal:
        parse(bytes.fromhex(octets))
    assert refusal.value.status == word


@pytest.mark.parametrize(
    ("cla", "channel", "is_proprietary"),
    [
        (0x00, 0, False),
        (0x03, 3, False),
        (0x40, 4, False),
        (0x4F, 19, False),
        (0x82, 2, True),
        (0xC5, 9, True),
    ],
)
def test_the_class_octet_names_the_channel(cla: int, channel: int, is_proprietary: bool) -> None:
    apdu = parse(bytes([cla, 0xA4, 0, 4]))
    assert (apdu.channel, apdu.is_proprietary) == (channel, is_proprietary)
