"""Rows of CSV: a header that names the columns, then one device a line.

Pure. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Final

from keim.eim.device_file.rows import (
    BadRow,
    DeviceRow,
    bad_row,
    certificate_of,
    checked_tag,
    eid_of,
    made,
    number_of,
    refuse_formula,
)
from keim.errors import Refused

COLUMNS: Final = ("eid", "token", "counter", "tags", "euicc_certificate", "eum_certificate", "signer")
TAG_COLUMN: Final = "tag:"
"""`tag:site` with the cell `berlin` is the tag `site=berlin`."""
DELIMITERS: Final = (",", ";", "\t")
_SHORT: Final = 200


class CsvRows:
    """Made from the first line; a file without a header may hold nothing but EIDs."""

    def __init__(self, header: str, *, accepts_check_digits: bool) -> None:
        self._accepts = accepts_check_digits
        self.has_header = not header.strip().strip('"').isdecimal()
        if not self.has_header:
            self._delimiter, self._names = ",", ["eid"]
        else:
            counts = {delimiter: header.count(delimiter) for delimiter in DELIMITERS}
            self._delimiter = max(DELIMITERS, key=lambda delimiter: counts[delimiter])
            self._names = _names(self._cells(header, 1))
        self._tag_columns = [
            (index, name.removeprefix(TAG_COLUMN) + "=")
            for index, name in enumerate(self._names)
            if name.startswith(TAG_COLUMN)
        ]
        self._index = {name: index for index, name in enumerate(self._names)}

    def row(self, line: int, text: str) -> DeviceRow | BadRow | None:
        """None for an empty line."""
        if not text.strip():
            return None
        eid = text[:64]
        try:
            cells = self._cells(text, line)
            if len(cells) != len(self._names):
                raise Refused(
                    f"{len(cells)} cells where the header has {len(self._names)}", code="import.bad_row"
                )
            eid = cells[self._index["eid"]].strip()
            return self._made(line, cells)
        except Refused as fault:
            return bad_row(line, eid, fault)

    def _cells(self, text: str, line: int) -> list[str]:
        if '"' not in text:
            return text.split(self._delimiter)
        try:
            return next(csv.reader((text,), delimiter=self._delimiter, strict=True))
        except (csv.Error, StopIteration) as error:
            raise Refused(f"line {line}: {error}", code="import.bad_row") from None

    def _made(self, line: int, cells: list[str]) -> DeviceRow:
        cells = [cell.strip() for cell in cells]
        given = dict(zip(self._names, cells, strict=True))
        for name, cell in given.items():
            refuse_formula(cell, name)
        tags = _tags_of(given.get("tags", ""))
        if self._tag_columns:
            own = [prefix + cells[index] for index, prefix in self._tag_columns if cells[index]]
            tags = tuple(dict.fromkeys((*tags, *map(checked_tag, own))))
        token, counter = given.get("token"), given.get("counter")
        euicc, eum = given.get("euicc_certificate"), given.get("eum_certificate")
        return made(
            line,
            eid_of(given["eid"], accepts_check_digits=self._accepts),
            token=number_of(token, "token") if token else None,
            counter=number_of(counter, "counter") if counter else 0,
            tags=tags,
            euicc_certificate=certificate_of(euicc, "euicc_certificate") if euicc else None,
            eum_certificate=certificate_of(eum, "eum_certificate") if eum else None,
            signer=given.get("signer", ""),
        )


def _tags_of(cell: str) -> tuple[str, ...]:
    return _few_tags(cell) if len(cell) < _SHORT else _tags(cell)


def _tags(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(checked_tag(tag.strip()) for tag in cell.split("|") if tag.strip()))


_few_tags: Final = lru_cache(maxsize=4096)(_tags)
"""Remembered: a fleet has few sets of tags."""


def _names(cells: list[str]) -> list[str]:
    names = [cell.strip().lower() if not cell.startswith(TAG_COLUMN) else cell.strip() for cell in cells]
    unknown = [name for name in names if name not in COLUMNS and not _is_tag_column(name)]
    if unknown:
        known = ", ".join((*COLUMNS, f"{TAG_COLUMN}NAME"))
        raise Refused(
            f"line 1: no column is named {unknown[0][:40]!r}; known are {known}", code="import.bad_header"
        )
    if "eid" not in names or len(set(names)) != len(names):
        raise Refused("line 1: the header needs `eid`, and each column once", code="import.bad_header")
    return names


def _is_tag_column(name: str) -> bool:
    return name.startswith(TAG_COLUMN) and name.removeprefix(TAG_COLUMN).isprintable() and name != TAG_COLUMN
