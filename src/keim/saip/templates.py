"""The templates of clause 9 as values: what a file is unless the package says otherwise.

The tables stand in `template_tables.py` as text and are read once, when an element first needs them.
Must never import anything above floor 0.
"""

from __future__ import annotations

from enum import Enum
from functools import cache, lru_cache

import msgspec

from keim.saip import template_tables

OID_PREFIX = "2.23.143.1.2."


class Structure(Enum):
    TRANSPARENT = "transparent"
    LINEAR = "linear fixed"
    CYCLIC = "cyclic"
    BER_TLV = "BER-TLV"
    MF = "MF"
    DF = "DF"
    ADF = "ADF"
    UNKNOWN = "unknown"

    @property
    def is_directory(self) -> bool:
        return self in (Structure.MF, Structure.DF, Structure.ADF)

    @property
    def has_records(self) -> bool:
        return self in (Structure.LINEAR, Structure.CYCLIC)


_LETTERS = {
    "T": Structure.TRANSPARENT,
    "L": Structure.LINEAR,
    "C": Structure.CYCLIC,
    "B": Structure.BER_TLV,
    "MF": Structure.MF,
    "DF": Structure.DF,
    "ADF": Structure.ADF,
    "?": Structure.UNKNOWN,
}


class Pattern(msgspec.Struct, frozen=True):
    """A default content: `start`, then `filler` (its last octet or all of it again and again), then
    `tail`.
    """

    start: bytes = b""
    repeated: bytes = b""
    tail: bytes = b""

    @property
    def is_pattern(self) -> bool:
        """False for a fixed content, which is padded or cut, not repeated, when the size differs (§6.3)."""
        return bool(self.repeated)

    def expand(self, size: int) -> bytes:
        if not self.repeated:
            return self.start[:size].ljust(size, b"\xff")
        room = size - len(self.start) - len(self.tail)
        middle = (self.repeated * (room // len(self.repeated) + 1))[:room] if room > 0 else b""
        return (self.start + middle + self.tail)[:size]


class TemplateFile(msgspec.Struct, frozen=True):
    """One row of a template's table."""

    tag: int
    field: str
    path: tuple[int, ...]
    """File identifiers below the element's directory; empty for an ADF or a DF without one of its own."""
    fid_range: tuple[int, int] | None
    structure: Structure
    size: int | None
    record_length: int | None
    records: int | None
    access_rule: int | None
    sfi: int | None
    default: Pattern | None
    computed: str | None
    services: tuple[str, ...]
    all_services: bool
    needs_content: bool
    is_volatile: bool
    only_when_listed: bool
    parameters: str


class Template(msgspec.Struct, frozen=True):
    oid: str
    element: str
    """The name of the element that uses it."""
    is_by_default: bool
    since: tuple[int, int]
    """The first version of the format that has it."""
    until: tuple[int, int] | None
    files: tuple[TemplateFile, ...]
    by_tag: dict[int, TemplateFile]


# number: (element, table, created by default, since, until, rows that differ: field -> (size, default))
_TEST_OLD_NSC = {"ef-5gs3gppnsc": ("1x57", "FF*"), "ef-5gsn3gppnsc": ("1x57", "FF*")}
_OLD_ROUTING = {"ef-routing-indicator": ("4", "F0FFFFFF")}
_VARIANTS: dict[
    str, tuple[str, str, bool, tuple[int, int], tuple[int, int] | None, dict[str, tuple[str, str]]]
] = {
    "1": ("mf", "MF", True, (1, 0), None, {}),
    "2": ("cd", "CD", False, (1, 0), None, {}),
    "3": ("telecom", "TELECOM", False, (1, 0), (2, 3), {}),
    "3.2": ("telecom", "TELECOM", False, (3, 1), None, {}),
    "3.3": ("telecom", "TELECOM", False, (3, 4), None, {}),
    "4": ("usim", "USIM", True, (1, 0), (2, 3), {"ef-ust": ("14", "")}),
    "4.2": ("usim", "USIM", True, (3, 1), None, {}),
    "5": ("opt-usim", "OPT_USIM", False, (1, 0), (2, 3), {}),
    "5.2": ("opt-usim", "OPT_USIM", False, (3, 1), None, {}),
    "5.3": ("opt-usim", "OPT_USIM", False, (3, 3), None, {}),
    "5.4": ("opt-usim", "OPT_USIM", False, (3, 4), None, {}),
    "6": ("phonebook", "PHONEBOOK", False, (1, 0), None, {}),
    "7": ("gsm-access", "GSM_ACCESS", False, (1, 0), None, {}),
    "8": ("isim", "ISIM", True, (1, 0), None, {}),
    "9": ("opt-isim", "OPT_ISIM", False, (1, 0), (2, 3), {}),
    "9.2": ("opt-isim", "OPT_ISIM", False, (3, 1), None, {}),
    "9.3": ("opt-isim", "OPT_ISIM", False, (3, 4), None, {}),
    "10": ("csim", "CSIM", True, (1, 0), (2, 3), {}),
    "10.2": ("csim", "CSIM", True, (3, 1), None, {}),
    "11": ("opt-csim", "OPT_CSIM", False, (1, 0), (2, 3), {}),
    "11.2": ("opt-csim", "OPT_CSIM", False, (3, 1), None, {}),
    "12": ("eap", "EAP", False, (2, 2), None, {}),
    "13": ("df-5gs", "DF_5GS", False, (2, 3), (2, 3), _TEST_OLD_NSC | _OLD_ROUTING),
    "13.2": ("df-5gs", "DF_5GS", False, (3, 1), None, _TEST_OLD_NSC | _OLD_ROUTING),
    "13.3": ("df-5gs", "DF_5GS", False, (3, 1), None, _OLD_ROUTING),
    "13.4": ("df-5gs", "DF_5GS", False, (3, 3), None, {}),
    "14": ("df-saip", "DF_SAIP", False, (2, 3), None, {}),
    "15": ("df-snpn", "DF_SNPN", False, (3, 3), None, {}),
    "15.2": ("df-snpn", "DF_SNPN", False, (3, 4), None, {}),
    "16": ("df-5gprose", "DF_5GPROSE", False, (3, 3), None, {}),
    "16.2": ("df-5gprose", "DF_5GPROSE", False, (3, 4), None, {}),
    "17": ("iot", "IOT", True, (3, 3), None, {}),
    "18": ("opt-iot", "OPT_IOT", False, (3, 3), None, {}),
}
KNOWN_OIDS = frozenset(OID_PREFIX + number for number in _VARIANTS)
"""Template 19 (SSIM, version 3.4) belongs to an element whose tag we do not know for sure."""
_LATEST = {variant[0]: number for number, variant in _VARIANTS.items() if variant[3] <= (3, 3)}


@cache
def template(oid: str) -> Template | None:
    """The template of an object identifier, None for one that we do not know."""
    number = oid.removeprefix(OID_PREFIX)
    if oid not in KNOWN_OIDS:
        return None
    element, table, by_default, since, until, patches = _VARIANTS[number]
    rows = _rows(table)
    if patches:
        rows = tuple(_patched(row, patches[row.field]) if row.field in patches else row for row in rows)
    return Template(oid, element, by_default, since, until, rows, {row.tag: row for row in rows})


@cache
def fields_of(element: str) -> dict[int, TemplateFile]:
    """Names and tags of an element's fields, whatever its templateID says."""
    latest = template(OID_PREFIX + _LATEST[element])
    assert latest is not None
    return latest.by_tag


@cache
def latest_oid(element: str) -> str:
    return OID_PREFIX + _LATEST[element]


def _patched(row: TemplateFile, patch: tuple[str, str]) -> TemplateFile:
    size, records, length = _size(patch[0], row.structure)
    default = _pattern(patch[1]) if patch[1] else row.default
    return msgspec.structs.replace(row, size=size, records=records, record_length=length, default=default)


@cache
def _rows(table: str) -> tuple[TemplateFile, ...]:
    rows: list[TemplateFile] = []
    base: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    for line in getattr(template_tables, table).strip().splitlines():
        row = _row([cell.strip() for cell in line.split("|")])
        path = row.path
        if row.structure is Structure.DF:
            # a DF: the rows after it without a path of their own stand inside it
            own = path
            if not rows:
                base = path
        elif row.structure in (Structure.MF, Structure.ADF):
            own = base = ()
        elif len(path) == 1:
            path = own + path
        if path and path[: len(base)] != base:
            path = base + path
        rows.append(msgspec.structs.replace(row, path=path))
    return tuple(rows)


def _row(cells: list[str]) -> TemplateFile:
    tag, field, fids, letter, size, rule, sfi, default, service, flags = cells
    structure = _LETTERS[letter]
    path, fid_range = _fids(fids)
    total, records, length = _size(size, structure)
    is_computed = default.startswith("=")
    return TemplateFile(
        tag=int(tag, 16),
        field=field,
        path=path,
        fid_range=fid_range,
        structure=structure,
        size=total,
        record_length=length,
        records=records,
        access_rule=int(rule) if rule else None,
        sfi=int(sfi, 16) if sfi else None,
        default=_pattern(default) if default and not is_computed else None,
        computed=default[1:] if is_computed else None,
        services=tuple(service.replace("&", ",").replace(" ", ",").split(",")) if service else (),
        all_services="&" in service,
        needs_content="!" in flags,
        is_volatile="U" in flags.split("+")[0],
        only_when_listed="listed" in flags,
        parameters=flags.partition("+")[2],
    )


def _fids(text: str) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    parts = text.split("/") if text else []
    fid_range = None
    path = []
    for part in parts:
        first, _, last = part.partition("-")
        if last:
            fid_range = (int(first, 16), int(last, 16))
        path.append(int(first, 16))
    return tuple(path), fid_range


def _size(text: str, structure: Structure) -> tuple[int | None, int | None, int | None]:
    """(total, records, record length); None where the package must say."""
    count, cross, length = text.partition("x")
    if not cross:
        return (int(count) if count.isdigit() else None), None, None
    number = int(count) if count.isdigit() else None
    octets = int(length) if length.isdigit() else None
    return (number * octets if number and octets else None), number, octets


@lru_cache(maxsize=256)
def _pattern(text: str) -> Pattern:
    parts = text.split()
    starred = next((i for i, part in enumerate(parts) if part.endswith("*")), None)
    if starred is None:
        return Pattern(start=bytes.fromhex("".join(parts)))
    repeated = bytes.fromhex(parts[starred].rstrip("*").strip("()"))
    start = bytes.fromhex("".join(parts[:starred]))
    if not parts[starred].startswith("(") and len(repeated) > 1:
        start, repeated = start + repeated[:-1], repeated[-1:]
    return Pattern(start, repeated, bytes.fromhex("".join(parts[starred + 1 :])))
