"""The dates of X.509: read as text that compares in order, so that no year overflows, and made of datetimes.

Pure: the time is an argument. Imports keim.errors and keim.pki.tlv only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from keim.errors import Malformed, Refused
from keim.pki.tlv import Element

_MOMENT: Final = rb"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9])Z"
_TIME: Final = rb"(?:\x17\x0D([0-9]{2}" + _MOMENT + rb"|\x18\x0F([0-9]{4}" + _MOMENT + rb")"
_ONE_TIME: Final = re.compile(_TIME)
_VALIDITY: Final = re.compile(rb"\x30[\x1E\x20\x22]" + _TIME + _TIME)
"""A whole TLV, UTCTime or GeneralizedTime, in the one form that RFC 5280 §4.1.2.5 allows for each."""


def _of_utc_time(digits: bytes) -> str:
    return ("19" if digits >= b"5" else "20") + digits.decode("ascii")


def read_time(der: bytes, element: Element) -> str:
    """A date as YYYYMMDDHHMMSS."""
    found = _ONE_TIME.fullmatch(der, element[1], element[3])
    if found is None:
        raise _refusal(element[1])
    short, long = found.groups()
    return _of_utc_time(short) if short else str(long, "ascii")


def read_validity(der: bytes, position: int, end: int) -> tuple[str, str]:
    """notBefore and notAfter of the SEQUENCE that fills the range."""
    found = _VALIDITY.fullmatch(der, position, end)
    if found is None:
        raise _refusal(position)
    start, long_start, stop, long_stop = found.groups()
    return (
        _of_utc_time(start) if start else str(long_start, "ascii"),
        _of_utc_time(stop) if stop else str(long_stop, "ascii"),
    )


def _refusal(offset: int) -> Malformed:
    return Malformed("a date is neither YYMMDDHHMMSSZ nor YYYYMMDDHHMMSSZ, or in no calendar", offset=offset)


def as_datetime(moment: str) -> datetime:
    try:
        return datetime(
            int(moment[:4]),
            int(moment[4:6]),
            int(moment[6:8]),
            int(moment[8:10]),
            int(moment[10:12]),
            int(moment[12:]),
            tzinfo=UTC,
        )
    except ValueError:
        raise Malformed(f"{moment} is a date that no calendar has", offset=0) from None


def moment_of(now: datetime | None) -> str | None:
    """The text that dates of certificates are compared with."""
    if now is None:
        return None
    if now.tzinfo is None:
        raise Refused("a time without zone cannot be compared with certificates", code="pki.naive_time")
    if now.tzinfo is not UTC:
        now = now.astimezone(UTC)
    # One number, padded once: a third of the cost of six that are padded.
    day = (now.year * 100 + now.month) * 100 + now.day
    return f"{((day * 100 + now.hour) * 100 + now.minute) * 100 + now.second:014d}"


def time_text(moment: str) -> str:
    date, time = moment[:8], moment[8:]
    return f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
