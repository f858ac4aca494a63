"""Distinguished names: the few attributes that roles look at, and a line for people.

Pure. Imports keim.errors and keim.pki.tlv only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed
from keim.pki.tlv import Element, children, contents, only_child, text

COMMON_NAME: Final = bytes.fromhex("550403")
SERIAL_NUMBER: Final = bytes.fromhex("550405")
COUNTRY: Final = bytes.fromhex("550406")
ORGANIZATION: Final = bytes.fromhex("55040a")
ORGANIZATIONAL_UNIT: Final = bytes.fromhex("55040b")

_COMMON_TEXT: Final = frozenset({0x0C, 0x13})
"""UTF8String and PrintableString."""

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
        return tuple([value for oid, value in self.attributes if oid == kind])

    def one(self, kind: bytes) -> str | None:
        """The value of an attribute that must not stand twice; None where it is absent or doubled."""
        found = None
        for oid, value in self.attributes:
            if oid == kind:
                if found is not None:
                    return None
                found = value
        return found

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
    return read_rdn_sequence(der, only_child(der, 0, len(der), 0x30, "a Name"))


def title_of(der: bytes) -> str:
    """A Name for people; also one that cannot be read."""
    try:
        return read_subject(der).text
    except Malformed as error:
        return f"(unreadable name: {error}) {der.hex()}"


def read_rdn_sequence(der: bytes, outer: Element) -> Subject:
    found: list[tuple[bytes, str]] = []
    position, last = outer[2], outer[3]
    while position < last:
        size = der[position + 1] if last - position > 11 else 0
        end = position + 2 + size
        # The usual form in one step: one attribute of a three-octet OID, a short value in UTF8 or printable.
        if (
            9 <= size < 0x80
            and end <= last
            and der[position + 3] == size - 2
            and der[position + 10] == size - 9
            and der[position] == 0x31
            and der[position + 2] == 0x30
            and der[position + 4 : position + 6] == b"\x06\x03"
            and der[position + 9] in _COMMON_TEXT
        ):
            try:
                value = str(der[position + 11 : end], "utf-8" if der[position + 9] == 0x0C else "ascii")
            except UnicodeDecodeError:
                raise Malformed("a character string is not of its type", offset=position + 9) from None
            found.append((der[position + 6 : position + 9], value))
        else:
            content, end = contents(der, position, last, 0x31, "a relative distinguished name")
            found += _read_attributes(der, content, end)
        position = end
    return Subject(tuple(found))


def _read_attributes(der: bytes, content: int, end: int) -> list[tuple[bytes, str]]:
    found = []
    for tag, start, inside, stop in children(der, content, end):
        pair = children(der, inside, stop) if tag == 0x30 else []
        if len(pair) != 2 or pair[0][0] != 0x06 or pair[0][2] == pair[0][3]:
            raise Malformed("an attribute is an OID and a value", offset=start)
        found.append((der[pair[0][2] : pair[0][3]], text(der, pair[1])))
    return found
