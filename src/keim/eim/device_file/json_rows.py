"""Rows of JSON lines: one object a line, its members named like the columns of CSV.

Pure. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import msgspec

from keim.eim.device_file.rows import (
    BadRow,
    DeviceRow,
    bad_row,
    certificate_of,
    checked_tag,
    eid_of,
    made,
)
from keim.errors import Refused


class _Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    eid: str
    token: int | None = None
    counter: int = 0
    tags: list[str] = []
    euicc_certificate: str | None = None
    eum_certificate: str | None = None
    signer: str = ""


class JsonRows:
    has_header = False

    def __init__(self, *, accepts_check_digits: bool) -> None:
        self._accepts = accepts_check_digits
        self._decode = msgspec.json.Decoder(_Device).decode

    def row(self, line: int, text: str) -> DeviceRow | BadRow | None:
        if not text.strip():
            return None
        eid = ""
        try:
            given = self._given(text)
            eid = given.eid
            return self._made(line, given)
        except Refused as fault:
            return bad_row(line, eid, fault)

    def _given(self, text: str) -> _Device:
        try:
            return self._decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise Refused(str(error), code="import.bad_row") from None

    def _made(self, line: int, given: _Device) -> DeviceRow:
        if given.token is not None and not 0 <= given.token < 1 << 63:
            raise Refused("token: it is no association token", code="import.bad_value")
        euicc, eum = given.euicc_certificate, given.eum_certificate
        return made(
            line,
            eid_of(given.eid, accepts_check_digits=self._accepts),
            token=given.token,
            counter=given.counter,
            tags=tuple(dict.fromkeys(map(checked_tag, given.tags))),
            euicc_certificate=None if euicc is None else certificate_of(euicc, "euicc_certificate"),
            eum_certificate=None if eum is None else certificate_of(eum, "eum_certificate"),
            signer=given.signer,
        )
