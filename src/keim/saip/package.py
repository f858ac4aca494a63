"""A profile package: the bare concatenation of its elements, each with its octets as received.

An untouched package encodes to the octets it came from; an edited element re-encodes only itself.
Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import TypeVar

import msgspec

from keim.der import Sequence, Tolerance, decode, read_tlv, walk
from keim.der.read import read_tag
from keim.errors import Malformed
from keim.ids import Iccid
from keim.saip.elements import END_TAG, HEADER_TAG, NAMES, PLAIN_TYPES, PeHeader, ProfileHeader
from keim.saip.file_element import FileSystemElement, decode_file_element
from keim.saip.refusals import BrokenPackage

READER: Set[Tolerance] = frozenset(
    {
        Tolerance.LONG_LENGTHS,
        Tolerance.PADDED_INTEGERS,
        Tolerance.EXPLICIT_DEFAULTS,
        Tolerance.UNKNOWN_ALTERNATIVES,
    }
)
"""What a reader of packages accepts; writers produce DER (§1 of the sheet)."""
WRITER: Set[Tolerance] = frozenset({Tolerance.UNKNOWN_ALTERNATIVES})
"""Strict DER; only elements of later versions are passed."""

Value = Sequence | FileSystemElement | None
T = TypeVar("T")


class Element(msgspec.Struct, frozen=True):
    """One profile element where it stands in its package."""

    index: int
    offset: int
    tag: int
    raw: bytes
    value: Value
    """None for an element that no version we know has; its octets are kept."""

    @property
    def name(self) -> str:
        return NAMES.get(self.tag, f"unknown-{self.tag:X}")

    @property
    def header(self) -> PeHeader | None:
        """The PEHeader; None for the profile header and where an unknown element has none."""
        if self.value is None:
            return _header_of_unknown(self.raw)
        header = getattr(self.value, "header", None)
        return header if isinstance(header, PeHeader) else None

    @property
    def identification(self) -> int | None:
        header = self.header
        return None if header is None else header.identification

    @property
    def is_mandated(self) -> bool:
        """Whether a failure of this element ends the installation (the profile header always does)."""
        header = self.header
        return header is None or header.mandated

    def encode(self) -> bytes:
        return self.raw

    def __repr__(self) -> str:
        """Without the octets, which may hold keys; the value hides its own."""
        return f"Element({self.index}, {self.name}, {len(self.raw)} octets, {self.value!r})"


class Package(msgspec.Struct, frozen=True):
    elements: tuple[Element, ...]

    @classmethod
    def decode(cls, data: bytes, tolerances: Set[Tolerance] = READER) -> Package:
        """The package whose octets are `data`; `BrokenPackage` names element, tag, offset and rule."""
        elements: list[Element] = []
        position, loose = 0, Tolerance.LONG_LENGTHS in tolerances
        while position < len(data):
            index, tag = len(elements), None
            try:
                tag = _tag_at(data, position)
                at = read_tlv(data, position, any_length_form=loose)
                value = _decode_value(data, position, at.end, tag, tolerances)
            except Malformed as fault:
                ended = bool(elements) and elements[-1].tag == END_TAG
                raise BrokenPackage(
                    fault.message,
                    offset=fault.offset,
                    index=index,
                    tag=tag,
                    rule="TRAILING" if ended else "DER",
                    path=fault.path,
                ) from fault
            elements.append(Element(index, position, tag, data[position : at.end], value))
            position = at.end
        return cls(tuple(elements))

    @classmethod
    def of(cls, values: Iterable[Sequence | FileSystemElement | Element | bytes]) -> Package:
        """A package from elements (octets as received stay) and values (encoded now)."""
        elements: list[Element] = []
        offset = 0
        for index, value in enumerate(values):
            if isinstance(value, Element):
                made = msgspec.structs.replace(value, index=index, offset=offset)
            elif isinstance(value, bytes):
                made = msgspec.structs.replace(cls.decode(value).elements[0], index=index, offset=offset)
            else:
                raw = value.encode()
                made = Element(index, offset, read_tlv(raw).tag, raw, value)
            elements.append(made)
            offset += len(made.raw)
        return cls(tuple(elements))

    def encode(self) -> bytes:
        return b"".join(element.raw for element in self.elements)

    def __len__(self) -> int:
        return len(self.elements)

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements)

    @property
    def size(self) -> int:
        return sum(len(element.raw) for element in self.elements)

    @property
    def header(self) -> ProfileHeader | None:
        """The profile header, wherever it stands (lint tells when that is not first)."""
        for element in self.elements:
            if isinstance(element.value, ProfileHeader):
                return element.value
        return None

    @property
    def iccid(self) -> Iccid | None:
        """As the header gives it, in human order; None without a header or with no digits there."""
        header = self.header
        if header is None:
            return None
        try:
            return Iccid.from_header_octets(header.iccid)
        except Malformed:
            return None

    @property
    def version(self) -> tuple[int, int]:
        header = self.header
        return (header.major_version, header.minor_version) if header else (0, 0)

    @property
    def is_iot_minimal(self) -> bool:
        header = self.header
        return header is not None and header.iot_options is not None

    def values(self, type_: type[T]) -> Iterator[tuple[Element, T]]:
        """The elements whose value is of the type."""
        for element in self.elements:
            if isinstance(element.value, type_):
                yield element, element.value

    def named(self, name: str) -> tuple[Element, ...]:
        return tuple(element for element in self.elements if element.name == name)

    def file_element(self, name: str) -> tuple[Element, FileSystemElement] | None:
        """The first file-system element of the name."""
        for element, value in self.values(FileSystemElement):
            if element.name == name:
                return element, value
        return None

    def replace(self, index: int, value: Sequence | FileSystemElement) -> Package:
        """The package with one element re-encoded; all others keep their octets."""
        return Package.of(value if e.index == index else e for e in self.elements)

    def insert(self, index: int, *values: Sequence | FileSystemElement | Element) -> Package:
        return Package.of((*self.elements[:index], *values, *self.elements[index:]))

    def remove(self, index: int) -> Package:
        return Package.of(e for e in self.elements if e.index != index)

    @property
    def next_identification(self) -> int:
        return max((e.identification or 0 for e in self.elements), default=0) + 1


def _decode_value(data: bytes, start: int, end: int, tag: int, tolerances: Set[Tolerance]) -> Value:
    plain = PLAIN_TYPES.get(tag)
    if plain is not None:
        try:
            value: Sequence = decode(plain, data[start:end], tolerances)
        except Malformed as fault:
            raise Malformed(fault.message, offset=fault.offset + start, path=fault.path) from fault
        return value
    if tag in NAMES and tag >= 0xB0:
        return decode_file_element(data, start, tolerances)
    if not tag & 0x20 << (8 if tag > 0xFF else 0):
        raise Malformed(f"tag {tag:X} is no element", offset=start)
    if Tolerance.LONG_LENGTHS not in tolerances:
        for _ in walk(data, read_tlv(data, start, end).content, end):
            pass
    return None


def _tag_at(data: bytes, position: int) -> int:
    """The tag of an element, also of one whose length is broken."""
    try:
        return read_tag(data, position)[0]
    except IndexError:
        return data[position]


def _header_of_unknown(raw: bytes) -> PeHeader | None:
    try:
        outer = read_tlv(raw, any_length_form=True)
        at = read_tlv(raw, outer.content, outer.end, any_length_form=True)
        return PeHeader.decode(raw[at.start : at.end], READER) if at.tag == HEADER_TAG else None
    except Malformed:
        return None
