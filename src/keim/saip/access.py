"""Access rules: the default records of clause 9.9 and the contents of an EF.ARR record (ISO 7816-4, TS
102 221).

Must never import anything above floor 0.
"""

from __future__ import annotations

from functools import cache

import msgspec

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed

RULE_LENGTH = 33

# (access mode octet or "INS", condition): V01 PIN1, V81 local PIN2, V0A ADM1, ALW, NEV
_RULES = (
    "01 ALW, 02 V01, 58 V0A",
    "01 V01, 5A V0A",
    "5B V0A",
    "01 ALW, 1A NEV, 40 V0A",
    "03 V01, 58 V0A",
    "11 V01, 4A V0A",
    "03 V01, 58 V0A, INS32 V01",
    "01 V01, 02 V81, 58 V0A",
    "01 ALW, 1A V01, 40 V0A",
    "01 ALW, 5A V0A",
    "01 ALW, 18 V0A, 42 NEV",
    "01 V01, 5A NEV",
    "13 V01, 48 V0A",
    "5E V0A",
)


class Condition(msgspec.Struct, frozen=True):
    """When something is allowed: `always`, `never`, or after verification."""

    is_always: bool = False
    is_never: bool = False
    reference: int | None = None
    any_of: tuple[Condition, ...] = ()
    all_of: tuple[Condition, ...] = ()

    @property
    def references(self) -> frozenset[int]:
        own = frozenset() if self.reference is None else frozenset({self.reference})
        return own.union(*(part.references for part in self.any_of + self.all_of))

    def __str__(self) -> str:
        if self.is_always:
            return "always"
        if self.is_never:
            return "never"
        if self.reference is not None:
            return reference_name(self.reference)
        word = " or " if self.any_of else " and "
        return f"({word.join(str(part) for part in self.any_of or self.all_of)})"


class AccessEntry(msgspec.Struct, frozen=True):
    """One access mode with its condition; `instructions` holds INS octets where the mode names commands."""

    mode: int
    instructions: bytes
    condition: Condition


def reference_name(reference: int) -> str:
    if 1 <= reference <= 8:
        return f"PIN{reference}"
    if 0x0A <= reference <= 0x0E:
        return f"ADM{reference - 9}"
    if 0x81 <= reference <= 0x88:
        return f"local PIN{reference - 0x7F}"
    if 0x8A <= reference <= 0x8E:
        return f"ADM{reference - 0x84}"
    return f"reference {reference:02X}"


@cache
def default_rules() -> bytes:
    """EF.ARR of a profile that has no rules of its own: 14 records of 33 octets."""
    return b"".join(_encode(rule).ljust(RULE_LENGTH, b"\xff") for rule in _RULES)


def _encode(rule: str) -> bytes:
    out = b""
    for entry in rule.split(", "):
        mode, condition = entry.split()
        out += (
            tlv(0x84, bytes.fromhex(mode[3:])) if mode.startswith("INS") else tlv(0x80, bytes.fromhex(mode))
        )
        if condition == "ALW":
            out += tlv(0x90)
        elif condition == "NEV":
            out += tlv(0x97)
        else:
            out += tlv(0xA4, tlv(0x83, bytes.fromhex(condition[1:])), tlv(0x95, b"\x08"))
    return out


def parse_rule(record: bytes) -> tuple[AccessEntry, ...]:
    """The entries of one record; `Malformed` when it is none. FF at the end is filling."""
    entries = []
    position = 0
    data = record.rstrip(b"\xff")
    # an INS octet may be FF only inside a TLV, which the lengths below put back
    while position < len(data):
        mode = read_tlv(record, position)
        if mode.tag not in (0x80, 0x84, 0x81, 0x82, 0x83, 0x85, 0x86, 0x87):
            raise Malformed(f"tag {mode.tag:02X} is no access mode", offset=position)
        if mode.content == mode.end:
            raise Malformed("empty access mode", offset=position)
        condition, position = _condition(record, mode.end)
        value = record[mode.content : mode.end]
        is_bits = mode.tag == 0x80
        entries.append(AccessEntry(value[0] if is_bits else 0, b"" if is_bits else value, condition))
    return tuple(entries)


def _condition(record: bytes, position: int) -> tuple[Condition, int]:
    at = read_tlv(record, position)
    value = record[at.content : at.end]
    if at.tag == 0x90:
        return Condition(is_always=True), at.end
    if at.tag == 0x97:
        return Condition(is_never=True), at.end
    if at.tag == 0xA4:
        for part in walk(value):
            if part.tag == 0x83 and part.end - part.content == 1:
                return Condition(reference=value[part.content]), at.end
        raise Malformed("a security condition without a key reference (83)", offset=position)
    if at.tag in (0xA0, 0xAF):
        parts: list[Condition] = []
        inner = at.content
        while inner < at.end:
            condition, inner = _condition(record[: at.end], inner)
            parts.append(condition)
        if at.tag == 0xA0:
            return Condition(any_of=tuple(parts)), at.end
        return Condition(all_of=tuple(parts)), at.end
    raise Malformed(f"tag {at.tag:02X} is no security condition", offset=position)
