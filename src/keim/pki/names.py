"""Distinguished names: the few attributes that roles look at, and a line for people.

Pure. Imports keim.errors and keim.pki.tlv only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed
from keim.pki.tlv import Element, children, text

COMMON_NAME: Final = bytes.fromhex("550403")
SERIAL_NUMBER: Final = bytes.fromhex("550405")
COUNTRY: Final = bytes.fromhex("550406")
ORGANIZATION: Final = bytes.fromhex("55040a")
ORGANIZATIONAL_UNIT: Final = bytes.fromhex("55040b")

_LABELS: Final = {
    COMMON_NAME: "CN",
    SERIAL_NUMBER: "serialNumber",
    COUNTRY: "C",
    ORGANIZATION: "O",
    ORGANIZATIONAL_UNIT: "OU",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
}


class Subject(msgspec.Struct, frozen=True):
    """The attributes in their order, as (OID contents, text)."""

    attributes: tuple[tuple[bytes, str], ...]

    def all(self, kind: bytes) -> tuple[str, ...]:
        return tuple(value for oid, value in self.attributes if oid == kind)

    def one(self, kind: bytes) -> str | None:
        """The value of an attribute that must not stand twice; None where it is absent or doubled."""
        values = self.all(kind)
        return values[0] if len(values) == 1 else None

    @property
    def common_name(self) -> str | None:
        return self.one(COMMON_NAME)

    @property
    def organization(self) -> str | None:
        return self.one(ORGANIZATION)

    @property
    def serial_number(self) -> str | None:
        return self.one(SERIAL_NUMBER)

    @property
    def known(self) -> dict[str, str]:
        """The attributes that have a short label, by it; of doubled ones the last."""
        return {_LABELS[oid]: value for oid, value in self.attributes if oid in _LABELS}

    @property
    def text(self) -> str:
        return ", ".join(f"{_label(oid)}={value}" for oid, value in self.attributes)


def _label(oid: bytes) -> str:
    return _LABELS.get(oid) or f"OID.{oid.hex()}"


def read_subject(der: bytes) -> Subject:
    """A Name as it stands in a certificate, with its tag 30."""
    outer = children(der, 0, len(der))
    if len(outer) != 1 or outer[0][0] != 0x30:
        raise Malformed("a Name is one SEQUENCE", offset=0)
    return read_rdn_sequence(der, outer[0])


def title_of(der: bytes) -> str:
    """A Name for people; also one that cannot be read."""
    try:
        return read_subject(der).text
    except Malformed as error:
        return f"(unreadable name: {error}) {der.hex()}"


def read_rdn_sequence(der: bytes, outer: Element) -> Subject:
    found: list[tuple[bytes, str]] = []
    for tag, start, content, end in children(der, outer[2], outer[3]):
        # The common form: one attribute of id-at (55 04 xx) with a short value of UTF8 or printable text.
        if (
            end - content > 8
            and tag == 0x31
            and der[content] == 0x30
            and der[content + 1] == end - content - 2 < 0x80
            and der[content + 2 : content + 4] == b"\x06\x03"
            and der[content + 7] in (0x0C, 0x13)
            and der[content + 8] == end - content - 9
        ):
            value = text(der, (der[content + 7], content + 7, content + 9, end))
            found.append((der[content + 4 : content + 7], value))
            continue
        if tag != 0x31:
            raise Malformed("a relative distinguished name is a SET", offset=start)
        for inner_tag, inner_start, inner_content, inner_end in children(der, content, end):
            pair = children(der, inner_content, inner_end) if inner_tag == 0x30 else []
            if len(pair) != 2 or pair[0][0] != 0x06 or pair[0][2] == pair[0][3]:
                raise Malformed("an attribute is an OID and a value", offset=inner_start)
            found.append((der[pair[0][2] : pair[0][3]], text(der, pair[1])))
    return Subject(tuple(found))
