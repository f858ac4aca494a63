"""The template tables: spot checks against the format's clause 9, and what must hold for every row."""

from __future__ import annotations

import pytest

from keim.saip.access import default_rules, parse_rule
from keim.saip.templates import KNOWN_OIDS, OID_PREFIX, Pattern, Structure, template


def row(number: str, field: str):  # type: ignore[no-untyped-def] - the row's type is the template's own
    found = template(OID_PREFIX + number)
    assert found is not None
    return next(entry for entry in found.files if entry.field == field)


@pytest.mark.parametrize(
    ("number", "field", "path", "size", "record_length"),
    [
        ("1", "ef-iccid", (0x2FE2,), 10, None),
        ("4", "ef-ust", (0x6F38,), 14, None),
        ("4.2", "ef-ust", (0x6F38,), 17, None),
        ("17", "ef-ust", (0x6F38,), 17, None),
        ("3", "ef-img", (0x7F10, 0x5F50, 0x4F20), None, None),
        ("6", "ef-adn", (0x5F3A, 0x4F58), None, None),
        ("7", "ef-kcgprs", (0x5F3B, 0x4F52), 9, None),
        ("13", "ef-5gs3gppnsc", (0x5FC0, 0x4F03), 57, 57),
        ("13.3", "ef-5gs3gppnsc", (0x5FC0, 0x4F03), 124, 62),
        ("18", "ef-5gs3gpploci", (0x5FC0, 0x4F01), 20, None),
        ("18", "ef-suci-calc-info-usim", (0x5FD0, 0x4F01), None, None),
        ("5", "ef-ici", (0x6F80,), 760, 38),
    ],
)
def test_rows_are_as_clause_9_has_them(
    number: str, field: str, path: tuple[int, ...], size: int | None, record_length: int | None
) -> None:
    found = row(number, field)
    assert (found.path, found.size, found.record_length) == (path, size, record_length)


def test_the_routing_indicator_changed_with_13_4() -> None:
    assert row("13", "ef-routing-indicator").default == Pattern(bytes.fromhex("F0FFFFFF"))
    assert row("13.4", "ef-routing-indicator").default == Pattern(bytes.fromhex("F0FF0000"))


@pytest.mark.parametrize("oid", sorted(KNOWN_OIDS))
def test_tags_ascend_from_a2_without_a_gap(oid: str) -> None:
    found = template(oid)
    assert found is not None
    tags = sorted(entry.tag for entry in found.files)
    expected = [*range(0xA2, 0xBF), *range(0xBF1F, 0xBF80)][: len(tags)]
    assert tags == expected


@pytest.mark.parametrize("oid", sorted(KNOWN_OIDS))
def test_file_identifiers_are_unique_in_a_template(oid: str) -> None:
    found = template(oid)
    assert found is not None
    paths = [entry.path for entry in found.files if entry.path and entry.structure is not Structure.UNKNOWN]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("number", ["19", "99", "1.7", ""])
def test_templates_that_we_do_not_know_are_none(number: str) -> None:
    assert template(OID_PREFIX + number) is None


@pytest.mark.parametrize(
    ("pattern", "size", "expected"),
    [
        (Pattern(repeated=b"\xff"), 3, "FFFFFF"),
        (Pattern(b"\x07", b"\xff"), 3, "07FFFF"),
        (Pattern(b"\x00\x02"), 4, "0002FFFF"),
        (Pattern(b"\x00\x01\x02"), 2, "0001"),
        (Pattern(repeated=bytes.fromhex("FFFFFF0000")), 7, "FFFFFF0000FFFF"),
        (Pattern(repeated=b"\xff", tail=b"\xff\x07"), 4, "FFFFFF07"),
    ],
)
def test_patterns_expand_to_the_size(pattern: Pattern, size: int, expected: str) -> None:
    assert pattern.expand(size).hex().upper() == expected


def test_every_default_access_rule_can_be_read() -> None:
    rules = default_rules()
    assert len(rules) == 14 * 33
    for start in range(0, len(rules), 33):
        assert parse_rule(rules[start : start + 33])


def test_rule_8_wants_pin1_to_read_the_local_pin_to_update_and_adm1_for_the_rest() -> None:
    entries = parse_rule(default_rules()[7 * 33 : 8 * 33])
    assert [(entry.mode, entry.condition.reference) for entry in entries] == [
        (0x01, 1),
        (0x02, 0x81),
        (0x58, 0x0A),
    ]
