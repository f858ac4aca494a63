"""One row of a file of devices: what it says, checked value by value.

Pure. Imports keim.errors, keim.ids and keim.eim only.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from keim.eim.orders import checked_tags
from keim.eim.settings import COUNTER_MAXIMUM
from keim.errors import Refused
from keim.ids import Eid

_ROUNDED: Final = re.compile(r"[0-9]([.,][0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet begins a formula."""


class DeviceRow(msgspec.Struct, frozen=True, gc=False):
    line: int
    eid: Eid
    token: int | None = None
    counter: int = 0
    tags: tuple[str, ...] = ()
    certificates: tuple[bytes, bytes] | None = None
    """CERT.EUICC and CERT.EUM in DER."""
    signer: str = ""


class BadRow(msgspec.Struct, frozen=True):
    line: int
    eid: str
    """As it stands there, cut."""
    code: str
    message: str


def bad_row(line: int, eid: str, fault: Refused) -> BadRow:
    return BadRow(line, eid[:64], fault.code, str(fault))


def eid_of(text: str, *, accepts_check_digits: bool) -> Eid:
    try:
        eid = Eid(text)
    except Refused:
        if _ROUNDED.fullmatch(text):
            raise Refused(
                f"{text!r}: a spreadsheet has rounded this EID", code="import.eid_rounded"
            ) from None
        raise
    if not accepts_check_digits and not eid.has_valid_check_digits:
        right = Eid.with_check_digits(text[:30])[30:]
        raise Refused(f"{text}: the check digits would be {right}", code="import.check_digits")
    return eid


def number_of(text: str, name: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused(f"{name}: {text[:40]!r} is no number", code="import.bad_value")
    return int(text)


def checked_tag(tag: str) -> str:
    refuse_formula(tag, "tags")
    checked_tags((tag,))
    return tag


def refuse_formula(cell: str, name: str) -> str:
    if cell.startswith(_FORMULA):
        raise Refused(f"{name}: {cell[:40]!r} begins like a formula", code="import.formula")
    return cell


def certificate_of(text: str, name: str) -> bytes:
    """DER in base64 or hexadecimal digits."""
    try:
        octets = bytes.fromhex(text) if text[:2] == "30" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        octets = b""
    if octets[:1] != b"\x30":
        raise Refused(f"{name}: no certificate in base64 or hexadecimal digits", code="import.bad_value")
    return octets


def made(
    line: int,
    eid: Eid,
    *,
    token: int | None,
    counter: int,
    tags: tuple[str, ...],
    euicc_certificate: bytes | None,
    eum_certificate: bytes | None,
    signer: str = "",
) -> DeviceRow:
    if not 0 <= counter <= COUNTER_MAXIMUM:
        raise Refused(f"counter: it lies between 0 and {COUNTER_MAXIMUM}", code="import.bad_value")
    if (euicc_certificate is None) != (eum_certificate is None):
        raise Refused("both certificates are needed, or none", code="import.bad_value")
    certificates = None
    if euicc_certificate is not None and eum_certificate is not None:
        certificates = (euicc_certificate, eum_certificate)
    return DeviceRow(line, eid, token, counter, tags, certificates, signer)
