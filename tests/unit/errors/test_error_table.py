"""The loader of the table of error codes, and the exceptions' own texts."""

from __future__ import annotations

import pytest

from keim.error_table import ACTORS, ErrorRow, _row, error_row, error_rows, near_codes
from keim.errors import KeimError, Malformed, Refused, Unencodable

GOOD = {"sentence": "It broke.", "cause": "A stone.", "who": "operator", "next": "Glue.", "retryable": False}


def test_a_row_is_read_as_it_stands() -> None:
    assert _row("a.b", "a", dict(GOOD)) == ErrorRow(
        code="a.b",
        area="a",
        sentence="It broke.",
        cause="A stone.",
        who="operator",
        next="Glue.",
        retryable=False,
    )


@pytest.mark.parametrize(
    "change",
    [{"who": "somebody"}, {"retryable": "no"}, {"retryable": 0}, {"colour": "red"}],
    ids=str,
)
def test_a_row_with_a_wrong_member_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a\.b"):
        _row("a.b", "a", {**GOOD, **change})


@pytest.mark.parametrize("member", GOOD)
def test_a_row_without_a_member_is_an_error(member: str) -> None:
    with pytest.raises(ValueError, match=member):
        _row("a.b", "a", {name: value for name, value in GOOD.items() if name != member})


def test_rows_are_sorted_and_know_their_file() -> None:
    rows = error_rows()
    assert list(rows) == sorted(rows)
    assert rows["world.timed_out"].area == "world"
    assert {row.who for row in rows.values()} <= set(ACTORS)


def test_an_unknown_code_is_refused_with_the_near_ones() -> None:
    with pytest.raises(Refused, match=r"world\.timed_out") as caught:
        error_row("world.timedout")
    assert caught.value.code == "request.code_not_found"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("timed_out", "world.timed_out"),
        ("WORLD.TIMED_OUT", "world.timed_out"),
        ("eid", "request.invalid_eid"),
    ],
)
def test_a_piece_of_a_code_finds_it(given: str, expected: str) -> None:
    assert expected in near_codes(given)


def test_nothing_is_near_to_nonsense() -> None:
    assert near_codes("qqqqqqqq") == []
    assert near_codes("") == []


def test_an_error_carries_its_class_code_unless_it_names_another() -> None:
    assert Refused("no").code == "request.refused"
    assert Refused("no", code="x.y").code == "x.y"
    assert KeimError("no", party="eim", step="1", evidence="00").party == "eim"


def test_malformed_says_where() -> None:
    assert str(Malformed("too short", offset=7, path="a.b")) == "a.b: too short (offset 7)"
    assert str(Malformed("too short", offset=7)) == "too short (offset 7)"
    assert str(Unencodable("too long", path="eimId")) == "eimId: too long"
