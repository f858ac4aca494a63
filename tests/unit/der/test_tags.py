"""Tags of every class and any number, and lengths of every form."""

from __future__ import annotations

from typing import Annotated

import pytest

from keim.der import Choice, Explicit, Null, Sequence, Tag, Tolerance, decode, encode, read_tlv, tlv, walk
from keim.errors import Malformed


class Odd(Sequence, tag=0xFF8A21):
    """A private tag of three octets around fields of every class."""

    universal: int
    application: Annotated[bytes, Tag(0x5F37)]
    context: Annotated[bytes | None, Tag(0x9F818001)] = None
    private: Annotated[bool, Null(0xDF7F)] = False
    wrapped: Annotated[int | None, Explicit(0xFF2A)] = None


class Either(Choice, tag=0xBF8100 | 0x7F):
    one: Annotated[int | None, Tag(0x9F8A01)] = None
    other: Annotated[int | None, Tag(0x9F8A02)] = None
    third: Annotated[int | None, Tag(0x9F8A03)] = None
    low: Annotated[int | None, Tag(0x9F21)] = None
    high: Annotated[int | None, Tag(0x9F7E)] = None


@pytest.mark.parametrize(
    "value",
    [
        Odd(universal=1, application=b""),
        Odd(universal=-5, application=bytes(200), context=b"x", private=True, wrapped=300),
        Odd(universal=0, application=bytes(70_000), wrapped=0),
    ],
)
def test_tags_of_every_class_and_length_come_back(value: Odd) -> None:
    octets = value.encode()
    assert octets.startswith(bytes.fromhex("ff8a21"))
    assert Odd.decode(octets) == value
    assert Odd.decode(octets).encode() == octets


def test_alternatives_are_told_apart_by_the_last_octet_of_their_tags() -> None:
    for name in ("one", "other", "third", "low", "high"):
        value = Either(**{name: 7})
        assert Either.decode(value.encode()) == value
    with pytest.raises(Malformed):
        Either.decode(Either(other=7).encode().replace(bytes.fromhex("9f8a02"), bytes.fromhex("9f8a04")))


@pytest.mark.parametrize(
    "octets", ["1f0100", "1f1e00", "9f8001 00", "9f808001 00", "9fffffffff7f 00", "9f", "9f81", ""]
)
def test_tags_that_are_not_in_their_shortest_form_or_cut_are_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        read_tlv(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "is_ber"),
    [("04810100", True), ("0482000100", True), ("0484000000010f", True), ("0480", False), ("04ff", False)],
)
def test_lengths_in_more_octets_than_needed_are_ber_only(octets: str, is_ber: bool) -> None:
    raw = bytes.fromhex(octets)
    with pytest.raises(Malformed):
        decode(bytes, raw)
    if is_ber:
        assert decode(bytes, raw, frozenset({Tolerance.LONG_LENGTHS})) == raw[-1:]
    else:
        with pytest.raises(Malformed):
            decode(bytes, raw, frozenset(Tolerance))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 200_000])
def test_lengths_are_written_in_their_shortest_form(size: int) -> None:
    octets = encode(bytes(size), bytes)
    assert octets == tlv(0x04, bytes(size))
    assert read_tlv(octets).end == len(octets)
    assert decode(bytes, octets) == bytes(size)


def test_walking_stops_where_it_is_told_to() -> None:
    octets = bytes.fromhex("0101ff 0500 020105")
    assert [element.tag for element in walk(octets)] == [1, 5, 2]
    assert [element.tag for element in walk(octets, 3, 5)] == [5]
    with pytest.raises(Malformed):
        list(walk(octets, 3, 6))
