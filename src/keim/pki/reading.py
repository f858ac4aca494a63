"""Reading the parts of X.509 that certificates and CRLs share: dates, extension lists, signatures.

Pure. Imports keim.errors and keim.pki.tlv/extensions only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from keim.errors import Malformed
from keim.pki.extensions import Extensions
from keim.pki.tlv import Element, boolean, children, only_child

_MOMENT: Final = rb"(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z"
_TIME_FORMS: Final = {
    0x17: re.compile(rb"[0-9]{2}" + _MOMENT),
    0x18: re.compile(rb"[0-9]{4}" + _MOMENT),
}


def read_time(der: bytes, element: Element) -> str:
    """UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5, as YYYYMMDDHHMMSS."""
    tag, start, content, end = element
    form = _TIME_FORMS.get(tag)
    if form is None or not form.fullmatch(der, content, end):
        raise Malformed(
            "a date is neither YYMMDDHHMMSSZ nor YYYYMMDDHHMMSSZ, or in no calendar", offset=start
        )
    value = der[content : end - 1].decode("ascii")
    if tag == 0x17:
        return ("19" if value >= "50" else "20") + value
    return value


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


def whole_octets(der: bytes, element: Element) -> bytes:
    _, start, content, end = element
    if content == end or der[content] != 0:
        raise Malformed("a signature is a BIT STRING of whole octets", offset=start)
    return der[content + 1 : end]


def read_extensions(der: bytes, members: list[Element]) -> Extensions:
    rest = members
    if len(rest) != 1:
        # issuerUniqueID and subjectUniqueID may stand between the key and the extensions.
        rest = [member for member in members if member[0] not in (0x81, 0x82)]
        if not rest:
            return {}
    if len(rest) != 1 or rest[0][0] != 0xA3:
        raise Malformed("an unknown member follows the public key", offset=rest[0][1])
    outer = only_child(der, rest[0][2], rest[0][3], 0x30, "extensions")
    return read_extension_list(der, outer)


def _doubled(offset: int) -> Malformed:
    return Malformed("the same extension stands twice", offset=offset, code="pki.duplicate_extension")


def read_extension_list(der: bytes, outer: Element) -> Extensions:
    """OID contents -> (is it critical, its value); the same OID twice is Malformed (RFC 5280 §4.2)."""
    found: Extensions = {}
    for tag, start, content, end in children(der, outer[2], outer[3]):
        # The common form without a list of its own: everything short, `critical` absent or TRUE.
        after = content + 2 + der[content + 1] if end - content > 6 else end
        value = after + (5 if der[after : after + 3] == b"\x01\x01\xff" else 2)
        if (
            value <= end
            and tag == 0x30
            and der[content] == 0x06
            and der[content + 1] < 0x80
            and der[value - 2] == 0x04
            and der[value - 1] == end - value < 0x80
        ):
            oid = der[content + 2 : after]
            if oid in found:
                raise _doubled(start)
            found[oid] = (value - after == 5, der[value:end])
            continue
        parts = children(der, content, end) if tag == 0x30 else []
        is_critical = False
        if len(parts) == 3 and parts[1][0] == 0x01:
            is_critical = boolean(der, parts[1])
            del parts[1]
        if len(parts) != 2 or parts[0][0] != 0x06 or parts[1][0] != 0x04:
            raise Malformed("an extension is an OID, perhaps critical, and an OCTET STRING", offset=start)
        oid = der[parts[0][2] : parts[0][3]]
        if oid in found:
            raise _doubled(start)
        found[oid] = (is_critical, der[parts[1][2] : parts[1][3]])
    return found
