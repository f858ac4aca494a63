"""From octets as they come to rows: encodings and byte order marks, lines across pieces, duplicates.

Pure. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from keim.eim.device_file.csv_rows import CsvRows
from keim.eim.device_file.json_rows import JsonRows
from keim.eim.device_file.rows import BadRow, DeviceRow
from keim.errors import Refused

LONGEST_LINE: Final = 64 * 1024
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Format(StrEnum):
    CSV = "csv"
    JSON_LINES = "jsonl"


class DeviceFileReader:
    """`feed` octets in pieces of any size, then `end`; a file that cannot be read at all is `Refused`."""

    def __init__(self, form: Format, *, accepts_check_digits: bool = False) -> None:
        self._form = form
        self._accepts = accepts_check_digits
        self._decoder: codecs.IncrementalDecoder | None = None
        self._start = b""
        self._rest = ""
        self._line = 0
        self._rows: CsvRows | JsonRows | None = None
        self._seen: set[int] = set()

    def feed(self, octets: bytes) -> Iterator[DeviceRow | BadRow]:
        if self._decoder is None:
            self._start += octets
            if len(self._start) < 4:
                return iter(())
            self._decoder, octets = _decoder_of(self._start)
        return self._lines(self._text(octets, is_last=False), is_last=False)

    def end(self) -> Iterator[DeviceRow | BadRow]:
        octets = b""
        if self._decoder is None:
            self._decoder, octets = _decoder_of(self._start)
        yield from self._lines(self._text(octets, is_last=True), is_last=True)
        if self._rows is None:
            raise Refused("the file is empty", code="import.empty_file")

    def _text(self, octets: bytes, *, is_last: bool) -> str:
        assert self._decoder is not None  # made before
        try:
            return self._decoder.decode(octets, is_last)
        except UnicodeDecodeError as error:
            # Found before the lines of this piece are read, so the line is where the piece begins, at least.
            line = self._line + 1 + octets.count(b"\n", 0, error.start)
            raise Refused(
                f"near line {line}: the text is not {error.encoding.upper()}", code="import.bad_encoding"
            ) from None

    def _lines(self, text: str, *, is_last: bool) -> Iterator[DeviceRow | BadRow]:
        lines = (self._rest + text).replace("\r\n", "\n").split("\n")
        self._rest = "" if is_last else lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise Refused(f"line {self._line + len(lines) + 1} is too long", code="import.bad_encoding")
        for line in lines:
            self._line += 1
            row = self._row(line)
            if row is not None:
                yield row

    def _row(self, text: str) -> DeviceRow | BadRow | None:
        if len(text) > LONGEST_LINE:
            return BadRow(self._line, "", "import.bad_row", "the line is too long")
        if self._rows is None:
            if not text.strip():
                return None
            self._rows = self._begin(text)
            if self._rows.has_header:
                return None
        row = self._rows.row(self._line, text)
        if isinstance(row, DeviceRow):
            number = int(row.eid)
            if number in self._seen:
                return BadRow(self._line, row.eid, "import.duplicate", "the EID stands in this file before")
            self._seen.add(number)
        return row

    def _begin(self, text: str) -> CsvRows | JsonRows:
        if "\0" in text:
            raise Refused("the file holds binary data", code="import.bad_encoding")
        if self._form is Format.JSON_LINES:
            if text.lstrip().startswith("["):
                raise Refused("one object a line is needed, no array around them", code="import.bad_header")
            return JsonRows(accepts_check_digits=self._accepts)
        return CsvRows(text, accepts_check_digits=self._accepts)


def _decoder_of(start: bytes) -> tuple[codecs.IncrementalDecoder, bytes]:
    for mark, name in _MARKS:
        if start.startswith(mark):
            return codecs.getincrementaldecoder(name)(), start[len(mark) :]
    return codecs.getincrementaldecoder("utf-8")(), start
