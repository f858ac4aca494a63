"""File-system elements (mf, usim, iot ...): one shape for all of them, the field names come from the
templates.

A field is a File: steps that change the file which the template describes. Must never import anything
above floor 0.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Annotated, Any

import msgspec

from keim.der import Oid, Tag, Tlv, Tolerance, decode, encode, read_tlv, tlv, walk
from keim.errors import Malformed
from keim.saip.elements import NAMES, TAGS, Fcp, FileItem, PeHeader
from keim.saip.templates import Template, TemplateFile, fields_of, latest_oid, template

Steps = tuple[FileItem, ...]
_TEMPLATE_ID = Annotated[Oid, Tag(0x81)]
FIRST_FIELD = 0xA2


class FileField(msgspec.Struct, frozen=True, gc=False):
    """One field of a file-system element; `items` is None for a field that no template of ours knows."""

    tag: int
    items: Steps | None
    raw: bytes
    """The field's TLV as received or as made."""

    @classmethod
    def of(cls, tag: int, items: Steps) -> FileField:
        return cls(tag, items, tlv(tag, b"".join(encode(item) for item in items)))

    @property
    def is_switched_off(self) -> bool:
        return bool(self.items and any(item.do_not_create for item in self.items))

    @property
    def fcp(self) -> Fcp | None:
        return next((item.file_descriptor for item in self.items or () if item.file_descriptor), None)


class FileSystemElement(msgspec.Struct, frozen=True):
    tag: int
    header: PeHeader
    template_id: str
    fields: tuple[FileField, ...]

    @property
    def template(self) -> Template | None:
        return template(self.template_id)

    def row(self, field: FileField) -> TemplateFile | None:
        """The template's row of a field, by the element's own templateID where we know it."""
        known = self.template
        if known is not None and known.element == NAMES[self.tag]:
            return known.by_tag.get(field.tag)
        return fields_of(NAMES[self.tag]).get(field.tag)

    def get(self, name: str) -> FileField | None:
        tag = field_tag(NAMES[self.tag], name)
        return next((field for field in self.fields if field.tag == tag), None)

    def with_field(self, name: str, items: Steps | None) -> FileSystemElement:
        """The element with one field replaced, added in its place, or (None) left out."""
        tag = field_tag(NAMES[self.tag], name)
        rest = [field for field in self.fields if field.tag != tag]
        if items is not None:
            rest.append(FileField.of(tag, items))
        return msgspec.structs.replace(self, fields=tuple(sorted(rest, key=lambda field: field.tag)))

    def encode(self) -> bytes:
        return tlv(
            self.tag,
            self.header.encode(),
            encode(Oid(self.template_id), _TEMPLATE_ID),
            *(field.raw for field in self.fields),
        )


def new_element(
    name: str,
    identification: int,
    fields: dict[str, Steps],
    *,
    template_id: str | None = None,
    mandated: bool = True,
) -> FileSystemElement:
    """An element of our own making from field names and steps."""
    tags = {row.field: row.tag for row in fields_of(name).values()}
    made = sorted((FileField.of(tags[field], items) for field, items in fields.items()), key=lambda f: f.tag)
    header = PeHeader(mandated=mandated, identification=identification)
    return FileSystemElement(TAGS[name], header, template_id or latest_oid(name), tuple(made))


def field_tag(element: str, name: str) -> int:
    for row in fields_of(element).values():
        if row.field == name:
            return row.tag
    raise KeyError(f"{element} has no field {name}")


def decode_file_element(data: bytes, start: int, tolerances: Set[Tolerance]) -> FileSystemElement:
    """The element at `start`; offsets of faults count from the start of `data`."""
    outer = read_tlv(data, start, any_length_form=True)
    loose = Tolerance.LONG_LENGTHS in tolerances
    header = read_tlv(data, outer.content, outer.end, any_length_form=loose)
    if header.tag != 0xA0:
        raise Malformed("the PEHeader (A0) is missing", offset=header.start, path="header")
    name = read_tlv(data, header.end, outer.end, any_length_form=loose)
    if name.tag != 0x81:
        raise Malformed("templateID (81) is missing", offset=name.start, path="templateID")
    known = fields_of(NAMES[outer.tag])
    fields = []
    position, last = name.end, FIRST_FIELD - 1
    while position < outer.end:
        at = read_tlv(data, position, outer.end, any_length_form=loose)
        if at.tag <= last and at.tag in known:
            raise Malformed(f"field {at.tag:X} is out of order or stands twice", offset=position)
        last = max(last, at.tag)
        row = known.get(at.tag)
        if row is None:
            for _ in walk(data, at.content, at.end) if at.is_constructed and not loose else ():
                pass
            fields.append(FileField(at.tag, None, data[at.start : at.end]))
        else:
            items = _items(data, at, row.field, tolerances)
            fields.append(FileField(at.tag, items, data[at.start : at.end]))
        position = at.end
    return FileSystemElement(
        outer.tag,
        at_offset(PeHeader, data, header, "header", tolerances),
        at_offset(_TEMPLATE_ID, data, name, "templateID", tolerances),
        tuple(fields),
    )


def _items(data: bytes, at: Tlv, name: str, tolerances: Set[Tolerance]) -> Steps:
    if at.content == at.end:
        return ()
    end = at.end
    retagged = b"\x30" + data[at.start + (2 if data[at.start] & 0x1F == 0x1F else 1) : end]
    try:
        steps: Steps = decode(Steps, retagged, tolerances)
    except Malformed as fault:
        shift = end - len(retagged)
        path = ".".join(part for part in (name, fault.path) if part)
        raise Malformed(fault.message, offset=fault.offset + shift, path=path) from fault
    return steps


def at_offset(type_: Any, data: bytes, at: Tlv, path: str, tolerances: Set[Tolerance]) -> Any:
    """Decodes a part of `data` so that faults count from the start of the whole."""
    try:
        return decode(type_, data[at.start : at.end], tolerances)
    except Malformed as fault:
        inner = ".".join(part for part in (path, fault.path) if part)
        raise Malformed(fault.message, offset=fault.offset + at.start, path=inner) from fault
