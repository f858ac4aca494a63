"""Files of devices: what is read, and what each bad line is told."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.eim.device_file import BadRow, DeviceFileReader, DeviceRow, Format
from keim.errors import Refused
from keim.pki.world import example_eids

ONE, TWO, THREE = map(str, example_eids(3))
CERTIFICATE = "30030201"


def read(
    octets: bytes, form: Format = Format.CSV, *, piece: int = 1 << 20, **options: bool
) -> list[DeviceRow | BadRow]:
    reader = DeviceFileReader(form, **options)
    rows: list[DeviceRow | BadRow] = []
    for start in range(0, len(octets), piece):
        rows += reader.feed(octets[start : start + piece])
    return [*rows, *reader.end()]


def codes(octets: bytes, form: Format = Format.CSV) -> list[tuple[int, str]]:
    return [(row.line, row.code) for row in read(octets, form) if isinstance(row, BadRow)]


def test_columns_are_read_by_name_in_any_order() -> None:
    text = f"tags,EID,counter,token,tag:site\npilot|red,{ONE},7,5,berlin\n,{TWO},,,\n"
    first, second = read(text.encode())
    assert first == DeviceRow(2, first.eid, 5, 7, ("pilot", "red", "site=berlin"))
    assert first.eid == ONE
    assert second == DeviceRow(3, second.eid)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_write_is_read(delimiter: str, end: str, encoding: str) -> None:
    text = f'eid{delimiter}tags{end}"{ONE}"{delimiter}"sud|a:b"{end}{end}{TWO}{delimiter}{end}'
    first, second = read(text.encode(encoding))
    assert isinstance(first, DeviceRow)
    assert first.tags == ("sud", "a:b")
    assert isinstance(second, DeviceRow)
    assert second.line == 4


def test_a_plain_list_of_eids_needs_no_header() -> None:
    assert [row.eid for row in read(f"{ONE}\n{TWO}".encode())] == [ONE, TWO]


def test_json_lines_say_the_same() -> None:
    lines = [
        {"eid": ONE, "token": 5, "counter": 7, "tags": ["a", "a"]},
        {"eid": TWO, "euicc_certificate": CERTIFICATE, "eum_certificate": CERTIFICATE},
    ]
    first, second = read("\n".join(map(json.dumps, lines)).encode(), Format.JSON_LINES)
    assert first == DeviceRow(1, first.eid, 5, 7, ("a",))
    assert isinstance(second, DeviceRow)
    assert second.certificates == (bytes.fromhex(CERTIFICATE),) * 2


@given(st.integers(1, 40))
def test_pieces_of_any_size_give_the_same_rows(piece: int) -> None:
    octets = f"eid,tags\r\n{ONE},sued\r\nx,\r\n{TWO},".encode("utf-8-sig")
    assert read(octets, piece=piece) == read(octets)


def test_each_bad_line_is_told_and_the_rest_is_read() -> None:
    wrong = f"{ONE[:-1]}{(int(ONE[-1]) + 1) % 10}"
    lines = [
        "eid,token,tags,euicc_certificate,eum_certificate",
        f"{ONE},,,,",
        f"{wrong},,,,",
        "8.9044E+31,,,,",
        f"{ONE[:-1]},,,,",
        f"{ONE},,,,",
        f"{TWO},,=HYPERLINK(1),,",
        "=1+1,,,,",
        f"{TWO},five,,,",
        f"{TWO},,,{CERTIFICATE},",
        f"{TWO},,,!!,!!",
        f"{TWO},,",
        f'{TWO},,"a,,',
        f"{THREE},,ok,,",
    ]
    assert codes("\n".join(lines).encode()) == [
        (3, "import.check_digits"),
        (4, "import.eid_rounded"),
        (5, "request.invalid_eid"),
        (6, "import.duplicate"),
        (7, "import.formula"),
        (8, "import.formula"),
        (9, "import.bad_value"),
        (10, "import.bad_value"),
        (11, "import.bad_value"),
        (12, "import.bad_row"),
        (13, "import.bad_row"),
    ]


def test_check_digits_may_be_accepted() -> None:
    wrong = f"{ONE[:-1]}{(int(ONE[-1]) + 1) % 10}"
    assert isinstance(read(wrong.encode(), accepts_check_digits=True)[0], DeviceRow)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "import.bad_row"),
        ("17", "import.bad_row"),
        ('{"eid": 17}', "import.bad_row"),
        ('{"eid": "1", "colour": "red"}', "import.bad_row"),
        ('{"eid": "1"}', "request.invalid_eid"),
        (f'{{"eid": "{ONE}", "token": -1}}', "import.bad_value"),
        (f'{{"eid": "{ONE}", "counter": 99999999}}', "import.bad_value"),
        (f'{{"eid": "{ONE}", "tags": ["=1"]}}', "import.formula"),
        (f'{{"eid": "{ONE}", "tags": [""]}}', "eim.bad_tag"),
        ("[" * 5000, "import.bad_row"),
    ],
)
def test_bad_json_lines_are_told(line: str, code: str) -> None:
    assert codes(f'{{"eid": "{TWO}"}}\n{line}'.encode(), Format.JSON_LINES) == [(2, code)]


@pytest.mark.parametrize(
    ("octets", "form", "code"),
    [
        (b"", Format.CSV, "import.empty_file"),
        (b"\n \n", Format.CSV, "import.empty_file"),
        (b"", Format.JSON_LINES, "import.empty_file"),
        (b"eid,colour\n", Format.CSV, "import.bad_header"),
        (b"token\n", Format.CSV, "import.bad_header"),
        (b"eid,eid\n", Format.CSV, "import.bad_header"),
        (b"eid,tag:\n", Format.CSV, "import.bad_header"),
        (b'eid,"\n', Format.CSV, "import.bad_row"),
        (b"[{}]", Format.JSON_LINES, "import.bad_header"),
        (b"PK\x03\x04\x00\x00", Format.CSV, "import.bad_encoding"),
        (b"eid,tags\n1,s\xfcd\n", Format.CSV, "import.bad_encoding"),
        ("eid".encode("utf-16") + b"\n", Format.CSV, "import.bad_encoding"),
        (b"eid,tags\n" + b"x" * 100_000, Format.CSV, "import.bad_encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(octets: bytes, form: Format, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read(octets, form, piece=64)
    assert refused.value.code == code


@given(st.binary(max_size=400), st.sampled_from(Format))
def test_any_octets_are_read_or_refused(octets: bytes, form: Format) -> None:
    with suppress(Refused):
        assert all(row.line > 0 for row in read(octets, form, piece=7))
