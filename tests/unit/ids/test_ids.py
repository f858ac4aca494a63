"""Known values and round trips of the small value types."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.errors import Malformed, Refused
from keim.ids import Aid, Eid, Iccid, Imsi, Oid, Plmn, Version

SGP26_EID = "89049032123451234512345678901235"  # the EID of SGP.26's test certificates
DIGITS = st.characters(min_codepoint=48, max_codepoint=57)


def digits(shortest: int, longest: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=shortest, max_size=longest)


# ---- EID


def test_an_eid_is_its_digits_and_is_not_swapped_on_the_wire() -> None:
    eid = Eid(SGP26_EID)
    assert eid == SGP26_EID
    assert eid.octets == bytes.fromhex(SGP26_EID)
    assert Eid.from_octets(eid.octets) == eid


def test_check_digits_are_computed_with_their_leading_zero() -> None:
    assert Eid(SGP26_EID).has_valid_check_digits
    assert Eid.with_check_digits(SGP26_EID[:30]) == SGP26_EID
    with_zero = next(
        eid for eid in (Eid.with_check_digits(f"8904903212345{n:017d}") for n in range(200)) if eid[30] == "0"
    )
    assert with_zero.has_valid_check_digits


def test_wrong_check_digits_are_visible_and_no_error() -> None:
    assert not Eid(SGP26_EID[:-1] + "4").has_valid_check_digits


@pytest.mark.parametrize(
    "text", ["", SGP26_EID[:-1], SGP26_EID + "0", SGP26_EID[:-1] + "A", "٨" * 32, SGP26_EID[:-1] + "\n"]
)
def test_what_is_no_eid_is_refused_with_its_code(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Eid(text)
    assert caught.value.code == "request.invalid_eid"


def test_a_long_wrong_text_is_not_repeated_in_the_message() -> None:
    with pytest.raises(Refused) as caught:
        Eid("x" * 100_000)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        (b"", 0),
        (bytes(15), 0),
        (bytes(17), 0),
        (bytes(5) + b"\x0a" + bytes(10), 5),
        (bytes(15) + b"\x8f", 15),
    ],
)
def test_octets_that_are_no_eid_are_malformed_at_their_octet(octets: bytes, offset: int) -> None:
    with pytest.raises(Malformed) as caught:
        Eid.from_octets(octets)
    assert caught.value.offset == offset


# ---- ICCID


@pytest.mark.parametrize(
    ("text", "wire", "header"),
    [
        ("8935301079378194307", "985303019773184903f7", "8935301079378194307f"),
        ("893530107937819430", "985303019773184903ff", "893530107937819430ff"),
        ("89353010793781943071", "98530301977318490317", "89353010793781943071"),
    ],
)
def test_an_iccid_is_swapped_in_messages_and_not_in_a_profile_header(
    text: str, wire: str, header: str
) -> None:
    iccid = Iccid(text)
    assert iccid.octets.hex() == wire
    assert iccid.header_octets.hex() == header
    assert Iccid.from_octets(bytes.fromhex(wire)) == iccid
    assert Iccid.from_header_octets(bytes.fromhex(header)) == iccid


def test_the_luhn_digit_of_an_iccid_is_checked_on_request_only() -> None:
    valid = Iccid("8935100792042591545")
    assert valid.has_valid_check_digit
    assert [Iccid(valid[:-1] + digit).has_valid_check_digit for digit in "012346789"] == [False] * 9


@pytest.mark.parametrize("text", ["8" * 17, "8" * 21, "89 44000000000000006", "8944000000000000006F"])
def test_what_is_no_iccid_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Iccid(text)
    assert caught.value.code == "request.invalid_iccid"


@pytest.mark.parametrize(
    ("octets", "offset"), [("98" * 9, 0), ("98" * 11, 0), ("98" * 8 + "ffff", 8), ("98fa" + "98" * 8, 1)]
)
def test_octets_that_are_no_iccid_are_malformed(octets: str, offset: int) -> None:
    with pytest.raises(Malformed) as caught:
        Iccid.from_octets(bytes.fromhex(octets))
    assert caught.value.offset == offset


# ---- OID


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("2.23.146.1.2.1", "678112010201"),
        ("1.2.840.10045.3.1.7", "2a8648ce3d030107"),
        ("1.3.36.3.3.2.8.1.1.7", "2b2403030208010107"),
        ("2.999.3", "883703"),
        ("0.0", "00"),
        ("0.39", "27"),
        ("2.5.29.35", "551d23"),
        ("2.25.311782205282738360923618091971140414400", None),
    ],
)
def test_an_oid_has_the_content_octets_of_der(text: str, content: str | None) -> None:
    oid = Oid(text)
    assert content is None or oid.content.hex() == content
    assert Oid.from_content(oid.content) == oid


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.", ".1", "3.1", "1.40", "01.2", "1.02", "1.-2", "2.23 .1", "1.2." + "9" * 5000, "1.2\n"],
)
def test_what_is_no_oid_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Oid(text)
    assert caught.value.code == "request.invalid_oid"


@pytest.mark.parametrize(
    ("content", "offset"),
    [("", 0), ("80", 0), ("8001", 0), ("2a8001", 1), ("2a86", 1), ("81" * 300 + "01", 0)],
)
def test_content_that_is_no_oid_is_malformed(content: str, offset: int) -> None:
    with pytest.raises(Malformed) as caught:
        Oid.from_content(bytes.fromhex(content))
    assert caught.value.offset == offset


# ---- AID, IMSI, PLMN, version


def test_an_aid_is_written_in_upper_case() -> None:
    assert Aid("a0000005591010ffffffff8900000100") == "A0000005591010FFFFFFFF8900000100"
    assert Aid.from_octets(bytes.fromhex("a000000087")).octets == bytes.fromhex("a000000087")


@pytest.mark.parametrize("text", ["", "A0000000", "A00000008", "A0" * 17, "A0 000000 87", "ZZ" * 5])
def test_what_is_no_aid_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Aid(text)
    assert caught.value.code == "request.invalid_aid"


@pytest.mark.parametrize("length", [0, 4, 17])
def test_octets_that_are_no_aid_are_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        Aid.from_octets(bytes(length))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("001010000000002", "080910100000000020"),
        ("26201123456789", "0821261021436587f9"),
        ("262011234567", "07212610214365f7ff"),
    ],
)
def test_an_imsi_is_the_content_of_its_file(text: str, octets: str) -> None:
    assert Imsi(text).octets.hex() == octets
    assert Imsi.from_octets(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "08" + "ff" * 8,
        "091010000000002000",
        "080810100000000020",
        "03091010ffffffffff",
        "0819101000000000a0",
    ],
)
def test_octets_that_are_no_imsi_are_malformed(octets: str) -> None:
    with pytest.raises(Malformed):
        Imsi.from_octets(bytes.fromhex(octets))


@pytest.mark.parametrize("text", ["", "00101", "0" * 16, "00101000000000x"])
def test_what_is_no_imsi_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Imsi(text)
    assert caught.value.code == "request.invalid_imsi"


@pytest.mark.parametrize(
    ("text", "octets", "mcc", "mnc"),
    [
        ("26202", "62f220", "262", "02"),
        ("262-02", "62f220", "262", "02"),
        ("310-410", "130014", "310", "410"),
    ],
)
def test_a_plmn_has_the_swapped_digits_of_24_008(text: str, octets: str, mcc: str, mnc: str) -> None:
    plmn = Plmn(text)
    assert plmn.octets.hex() == octets
    assert (plmn.mcc, plmn.mnc) == (mcc, mnc)
    assert Plmn.from_octets(plmn.octets) == plmn


@pytest.mark.parametrize("text", ["", "2620", "262-0", "2620201", "26-202", "262--02"])
def test_what_is_no_plmn_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Plmn(text)
    assert caught.value.code == "request.invalid_plmn"


@pytest.mark.parametrize("octets", ["", "62f2", "62f22000", "ffffff", "6af220", "62a220"])
def test_octets_that_are_no_plmn_are_malformed(octets: str) -> None:
    with pytest.raises(Malformed):
        Plmn.from_octets(bytes.fromhex(octets))


def test_versions_compare_by_number() -> None:
    assert Version(1, 2) == Version.parse("1.2.0") == Version.from_octets(b"\x01\x02\x00")
    assert Version(1, 2) < Version(1, 10) < Version(2, 0)
    assert str(Version.parse("v2.5")) == "2.5.0"
    assert Version(2, 5, 0).octets == b"\x02\x05\x00"


@pytest.mark.parametrize("text", ["", "1", "1.2.3.4", "1.2.x", "1.256.0", "-1.2", "1.2\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Version.parse(text)
    assert caught.value.code == "request.invalid_version"


def test_a_version_of_another_length_is_malformed() -> None:
    with pytest.raises(Malformed):
        Version.from_octets(b"\x01\x02")


# ---- all of them


@pytest.mark.parametrize(
    "value", [Eid(SGP26_EID), Iccid("8944000000000000006"), Oid("2.5.29.35"), Plmn("26202"), Version(1, 2)]
)
def test_values_survive_copying_and_pickling(value: object) -> None:
    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert twin == value
        assert type(twin) is type(value)


@given(digits(18, 20))
def test_every_iccid_comes_back_from_both_forms(text: str) -> None:
    iccid = Iccid(text)
    assert Iccid.from_octets(iccid.octets) == Iccid.from_header_octets(iccid.header_octets) == text


@given(digits(6, 15))
def test_every_imsi_comes_back_from_its_file(text: str) -> None:
    assert len(Imsi(text).octets) == 9
    assert Imsi.from_octets(Imsi(text).octets) == text


@given(digits(5, 6))
def test_every_plmn_comes_back_from_the_wire(text: str) -> None:
    assert Plmn.from_octets(Plmn(text).octets) == text


@given(digits(30, 30))
def test_computed_check_digits_are_valid(first_thirty: str) -> None:
    eid = Eid.with_check_digits(first_thirty)
    assert eid.has_valid_check_digits
    assert Eid.from_octets(eid.octets) == eid


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**70), max_size=8))
def test_every_oid_comes_back_from_its_content(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert Oid.from_content(Oid(text).content) == text


@given(st.binary(max_size=300))
def test_octets_become_a_value_that_encodes_to_them_or_are_malformed(octets: bytes) -> None:
    for decode, encode in (
        (Eid.from_octets, lambda v: v.octets),
        (Iccid.from_octets, lambda v: v.octets),
        (Iccid.from_header_octets, lambda v: v.header_octets),
        (Oid.from_content, lambda v: v.content),
        (Aid.from_octets, lambda v: v.octets),
        (Plmn.from_octets, lambda v: v.octets),
        (Version.from_octets, lambda v: v.octets),
    ):
        try:
            value = decode(octets)
        except Malformed:
            continue
        assert encode(value) == octets


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for kind in (Eid, Iccid, Oid, Aid, Imsi, Plmn, Version.parse):
        with suppress(Refused):
            kind(text)
