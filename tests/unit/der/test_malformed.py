"""What a decoder says of octets that are no object: always Malformed, always with the place."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import pytest

from keim import messages as m
from keim.der import (
    RELAY,
    STRICT,
    TOLERANT,
    Sequence,
    Size,
    Tag,
    Tolerance,
    decode,
    read_tlv,
    read_value,
    tlv,
)
from keim.der.view import view
from keim.errors import Malformed, UnsupportedAlternative

EID = bytes.fromhex("89049032123451234512345678901235")
POLL = m.GetEimPackageRequest(eid_value=EID, state_change_cause=m.StateChangeCause.RESET).encode()


class Wide(Sequence, tag=0xBF7D):
    """Every sort of field that has a tag of its own."""

    number: Annotated[int, Tag(0x80)]
    octets: Annotated[bytes, Tag(0x81), Size(2, 4)]
    text: Annotated[str, Tag(0x82), Size(1, 3)]
    flag: Annotated[bool, Tag(0x83)]


@pytest.mark.parametrize(
    ("octets", "offset", "path", "words"),
    [
        ("", 0, "GetEimPackageRequest", "missing"),
        ("bf", 0, "GetEimPackageRequest", "truncated"),
        ("bf4f", 0, "GetEimPackageRequest", "truncated"),
        ("bf4f00", 3, "GetEimPackageRequest.eidValue", "missing"),
        ("bf4f025a10", 5, "GetEimPackageRequest", "beyond"),
        ("bf4f03800101", 3, "GetEimPackageRequest.eidValue", "expected, found tag 80"),
        ("bf4f80", 2, "GetEimPackageRequest", "indefinite"),
        ("bf4f84ffffffff", 7, "GetEimPackageRequest", "beyond"),
        ("bf4f85ffffffffff", 2, "GetEimPackageRequest", "length of 5 octets"),
        ("bf4fff", 2, "GetEimPackageRequest", "length of 127 octets"),
        ("bf50" + "00", 0, "GetEimPackageRequest", "expected, found tag BF50"),
        (POLL.hex() + "00", len(POLL), "GetEimPackageRequest", "1 octets after"),
        (POLL.hex()[:-2], 0, "GetEimPackageRequest", "beyond"),
        ("bf4f155a10" + EID.hex() + "810200ff", 22, "GetEimPackageRequest", ""),
    ],
)
def test_the_place_is_named(octets: str, offset: int, path: str, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        m.GetEimPackageRequest.decode(bytes.fromhex(octets))
    assert caught.value.path.startswith(path)
    assert words in caught.value.message
    assert words in str(caught.value)
    if words in ("missing", "indefinite", "1 octets after"):
        assert caught.value.offset == offset


def test_the_path_leads_through_lists_and_alternatives() -> None:
    good = m.EuiccPackage(
        psmo_list=(m.Psmo(get_rat=m.GetRatPsmo()), m.Psmo(delete=m.DeletePsmo(iccid=bytes(10))))
    )
    broken = good.encode().replace(b"\x5a\x0a", b"\x5b\x0a")
    with pytest.raises(Malformed) as caught:
        m.EuiccPackage.decode(broken)
    assert caught.value.path == "EuiccPackage.psmoList[1].delete.iccid"
    assert caught.value.offset == broken.index(b"\x5b")


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("bf7d0c 80020001 81020000 820141 8301ff", "shortest form"),
        ("bf7d0c 8000 81020000 820141 8301ff 800101", "without contents"),
        ("bf7d0c 800101 810100 820141 8301ff0000", "allowed is 2 to 4"),
        ("bf7d0f 800101 81050000000000 820141 8301ff", "allowed is 2 to 4"),
        ("bf7d0c 800101 81020000 8200 8301ff 9e00", "allowed is 1 to 3"),
        ("bf7d0d 800101 81020000 8201ff 8301ff", "no UTF-8"),
        ("bf7d0d 800101 81020000 820141 830101", "neither 00 nor FF"),
        ("bf7d0d 800101 81020000 820141 8302ffff", "other than one octet"),
        ("bf7d10 800101 81020000 820141 8301ff 8301ff", "stands twice"),
        ("bf7d0f 800101 81020000 820141 8301ff 9e01", "beyond the end"),
    ],
)
def test_contents_are_held_against_their_type(octets: str, words: str) -> None:
    raw = bytes.fromhex(octets)
    raw = raw[:2] + bytes((len(raw) - 3,)) + raw[3:]
    with pytest.raises(Malformed) as caught:
        Wide.decode(raw)
    assert words in caught.value.message
    assert caught.value.path.startswith("Wide")


def test_sizes_count_characters_in_text() -> None:
    value = Wide(number=1, octets=b"ab", text="äöü", flag=True)
    assert Wide.decode(value.encode()) == value


def test_ten_thousand_nested_headers_are_refused_quickly() -> None:
    bomb = b""
    for _ in range(10_000):
        bomb = b"\xa0" + _length(len(bomb)) + bomb
    started = time.process_time()
    for kind in (m.EuiccPackage, m.ProfileInfoListRequest, m.VendorSpecificExtension):
        for tolerances in (STRICT, TOLERANT, RELAY):
            with suppress(Malformed):  # a relay may keep it as an unknown alternative
                decode(kind, bomb, tolerances)
    with pytest.raises(Malformed):
        m.EuiccPackage.decode(bomb)
    shown = view(bomb)
    assert sum(1 for _ in shown.walk()) < 100
    assert time.process_time() - started < 5


def _length(n: int) -> bytes:
    return (
        bytes((n,))
        if n < 128
        else bytes((0x83,)) + n.to_bytes(3, "big")
        if n > 0xFFFF
        else (bytes((0x81, n)) if n < 256 else bytes((0x82,)) + n.to_bytes(2, "big"))
    )


def test_a_length_of_four_gigabytes_costs_nothing() -> None:
    with pytest.raises(Malformed):
        read_tlv(bytes.fromhex("3084ffffffff"))
    with pytest.raises(Malformed):
        decode(m.EimAcknowledgements, bytes.fromhex("bf5384fffffff0800101"))


def test_an_unknown_alternative_spoils_its_own_object_only_where_that_is_asked_for() -> None:
    octets = tlv(0xA0, bytes.fromhex("a600"), bytes.fromhex("b8020100"))
    with pytest.raises(UnsupportedAlternative) as caught:
        m.EuiccPackage.decode(octets)
    assert caught.value.path == "EuiccPackage.psmoList[1]"
    kept = m.EuiccPackage.decode(octets, TOLERANT | {Tolerance.UNKNOWN_ALTERNATIVES})
    assert kept.psmo_list is not None
    assert [psmo.kind for psmo in kept.psmo_list] == ["get_rat", "unknown"]
    assert kept.encode() == octets


def test_a_value_can_be_read_from_the_middle_of_octets() -> None:
    value, end = read_value(m.GetEimPackageRequest, b"\x00\x00" + POLL + b"rest", 2)
    assert value.encode() == POLL
    assert end == 2 + len(POLL)
    with pytest.raises(Malformed) as caught:
        read_value(m.GetEimPackageRequest, b"\x00\x00" + b"\xbf\x4f\x00", 2)
    assert caught.value.offset == 5


def test_every_tolerance_has_a_reason() -> None:
    assert all(len(tolerance.value) > 30 for tolerance in Tolerance)
    assert STRICT < TOLERANT < RELAY


@pytest.mark.parametrize(
    ("kind", "peer", "standard"),
    [
        (m.ProfileRollbackResponse, "bf5803800101", "bf5803020101"),
        (m.ProfileRollbackResponse, "bf5803020101", "bf5803020101"),
    ],
)
def test_a_tag_of_a_known_peer_means_the_same_field(kind: type[Sequence], peer: str, standard: str) -> None:
    value = kind.decode(bytes.fromhex(peer), TOLERANT)
    assert value.encode().hex() == standard
    if peer != standard:
        with pytest.raises(Malformed):
            kind.decode(bytes.fromhex(peer))


class Numbers(Sequence, tag=0xBF7D):
    number: Annotated[int, Tag(0x80)] = 0
    bits: Annotated[m.IpaFeatures, Tag(0x81)] = m.IpaFeatures(0)


@pytest.mark.parametrize("tolerance", [STRICT, TOLERANT, RELAY])
@pytest.mark.parametrize("tag", [0x80, 0x81])
def test_a_number_that_nobody_could_print_is_refused_where_it_is_read(tag: int, tolerance: Tolerance) -> None:
    def numbers(octets: int) -> bytes:
        return tlv(0xBF7D, tlv(tag, b"\x00" * (tag == 0x81) + b"\x01" * octets))

    read = Numbers.decode(numbers(200), tolerance)
    assert len(f"{int(read.number)}{int(read.bits)}") > 400
    with pytest.raises(Malformed, match="of more than 256 octets"):
        Numbers.decode(numbers(6000), tolerance)
