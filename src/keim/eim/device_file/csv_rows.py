"""Rows of CSV: a header that names the columns, then one device a line.

Pure. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import csv
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
        token, counter = self._cell(cells, "token"), self._cell(cells, "counter")
        euicc, eum = self._cell(cells, "euicc_certificate"), self._cell(cells, "eum_certificate")
        eid = refuse_formula(cells[self._index["eid"]].strip(), "eid")
        tags = [checked_tag(tag.strip()) for tag in self._cell(cells, "tags").split("|") if tag.strip()]
        for index, prefix in self._tag_columns:
            if value := refuse_formula(cells[index].strip(), self._names[index]):
                tags.append(checked_tag(prefix + value))
        return made(
            line,
            eid_of(eid, accepts_check_digits=self._accepts),
            token=number_of(token, "token") if token else None,
            counter=number_of(counter, "counter") if counter else 0,
            tags=tuple(dict.fromkeys(tags)),
            euicc_certificate=certificate_of(euicc, "euicc_certificate") if euicc else None,
            eum_certificate=certificate_of(eum, "eum_certificate") if eum else None,
            signer=self._cell(cells, "signer"),
        )

    def _cell(self, cells: list[str], name: str) -> str:
        index = self._index.get(name)
        return "" if index is None else refuse_formula(cells[index].strip(), name)


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
