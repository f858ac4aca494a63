"""Writes the source of encoders: one function per type that gives the contents octets of a value.

In the generated text `o` is the value, `v` a field, `c` its contents; the prefix tables hold a tag with each
short length. Imports the floor's own files only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keim.der import write
from keim.der.element_decoder import Namer
from keim.der.schema import Field, Kind, Slot, fields_of
from keim.der.source import Source
from keim.der.write import tag_octets, tlv
from keim.errors import Unencodable


def not_one(name: str, found: int) -> Unencodable:
    return Unencodable(f"{name} needs exactly one alternative, {found} are set")


def truth(value: object) -> bool:
    if value is not True and value is not False:
        raise Unencodable(f"{value!r} is neither True nor False")
    return value


def octets(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Unencodable(f"octets expected, not {type(value).__name__}")
    return value


def body(value: bytes) -> bytes:
    """An X.509 object without its first octet, which must be 30."""
    if write.complete_tlv(octets(value))[:1] != b"\x30":
        raise Unencodable("an X.509 object begins with 30")
    return value[1:]


RUNTIME: dict[str, Any] = {
    "SMALL": write.SMALL,
    "long_tlv": write.long_tlv,
    "integer": write.integer,
    "named_bits": write.named_bits,
    "bit_string": write.bit_string,
    "oid_content": write.oid_content,
    "complete_tlv": write.complete_tlv,
    "wrong_size": write.wrong_size,
    "not_one": not_one,
    "truth": truth,
    "octets": octets,
    "body": body,
}


class EncoderWriter:
    """Writes the encoder of one class, or of one slot that stands alone."""

    def __init__(self, source: Source, name: Namer) -> None:
        self.source = source
        self.add = source.add
        self.name = name

    def sequence(self, function: str, cls: Any) -> None:
        self.add(f"def {function}(o):")
        self.source.depth += 1
        parts = []
        for number, field in enumerate(fields_of(cls)):
            self.source.field = field.wire_name
            part = f"t{number}"
            parts.append(part)
            self._field(field, part)
        self.source.field = None
        if len(parts) < 4:
            self.add("return " + " + ".join([*parts, "o.ext"]))
        else:
            self.add(f"return b''.join(({', '.join(parts)}, o.ext))")
        self.source.depth -= 1

    def choice(self, function: str, cls: Any) -> None:
        """The TLV of the alternative that is set."""
        self.add(f"def {function}(o):")
        self.source.depth += 1
        self.add("t = None", "found = 0")
        for field in fields_of(cls):
            self.source.field = field.wire_name
            self.add(f"v = o.{field.name}", "if v is not None:")
            self.source.depth += 1
            self.add("found += 1")
            self._tlv(field.slot, "v", "t", 0)
            self.source.depth -= 1
        self.source.field = None
        self.add("if o.unknown is not None:", "    found += 1", "    t = complete_tlv(octets(o.unknown))")
        self.add("if found != 1:", f"    raise not_one({cls.__keim_name__!r}, found)", "return t")
        self.source.depth -= 1

    def slot(self, function: str, slot: Slot) -> None:
        self.add(f"def {function}(v):")
        self.source.depth += 1
        self._tlv(slot, "v", "t", 0)
        self.add("return t")
        self.source.depth -= 1

    def _field(self, field: Field, part: str) -> None:
        slot = field.slot
        self.add(f"v = o.{field.name}")
        if field.is_mandatory:
            self._tlv(slot, "v", part, 0)
            return
        self.add(f"{part} = b''")
        if slot.kind is Kind.NULL:
            self.add("if truth(v):")
        elif field.has_value_default:
            self.add(f"if v != {self.name('default', field.default)}:")
        else:
            self.add("if v is not None:")
        self.source.depth += 1
        self._tlv(slot, "v", part, 0)
        self.source.depth -= 1

    def _wrap(self, tag: int, content: str, part: str, size: tuple[int, int] | None = None) -> None:
        if size is not None and size[0] == size[1] < 128:
            self.add(f"{part} = {tag_octets(tag) + bytes((size[0],))!r} + {content}")
            return
        table = self.name("prefixes", tag)
        header = tag_octets(tag)
        self.add(f"n = len({content})")
        self.add(f"{part} = {table}[n] + {content} if n < 128 else long_tlv({header!r}, {content})")

    def _tlv(self, slot: Slot, value: str, part: str, depth: int) -> None:
        """The complete TLV of `value` into `part`."""
        if slot.explicit is not None:
            self._tlv(replace(slot, explicit=None), value, part, depth)
            self._wrap(slot.explicit, part, part)
            return
        kind, tag = slot.kind, slot.tag
        if tag is None:
            self._untagged(slot, value, part)
        elif kind is Kind.BOOLEAN:
            true, false = tlv(tag, b"\xff"), tlv(tag, b"\x00")
            self.add(f"{part} = {true!r} if truth({value}) else {false!r}")
        elif kind is Kind.NULL:
            self.add(f"{part} = {tlv(tag)!r}")
        elif kind is Kind.LIST:
            self._list(slot, value, part, depth)
        elif kind is Kind.X509:
            self.add(f"{part} = {tag_octets(tag)!r} + body({value})")
        elif kind in (Kind.SEQUENCE, Kind.CHOICE):
            self._nested(slot, value, part)
        else:
            self._size(slot, value)
            if kind is Kind.OCTETS:
                self._wrap(tag, value, part, slot.size)
                return
            self.add(f"c = {self._primitive(slot, value)}")
            self._wrap(tag, "c", part)

    def _untagged(self, slot: Slot, value: str, part: str) -> None:
        if slot.kind is Kind.ANY:
            self.add(f"{part} = complete_tlv(octets({value}))")
            return
        encoder = f"{self.name('encoder', slot.type)}({value})"
        if slot.type.__keim_keep__:
            self.add(f"{part} = {value}.raw")
            self.add(f"if {part} is None:", f"    {part} = {encoder}")
        else:
            self.add(f"{part} = {encoder}")

    def _nested(self, slot: Slot, value: str, part: str) -> None:
        assert slot.tag is not None
        cls = slot.type
        if not cls.__keim_keep__:
            self.add(f"c = {self.name('encoder', cls)}({value})")
            self._wrap(slot.tag, "c", part)
            return
        self.add(f"if {value}.raw is None:")
        self.source.depth += 1
        self.add(f"c = {self.name('encoder', cls)}({value})")
        self._wrap(slot.tag, "c", part)
        self.source.depth -= 1
        own = tag_octets(cls.__keim_tag__)
        kept = (
            f"{value}.raw"
            if slot.tag == cls.__keim_tag__
            else f"{tag_octets(slot.tag)!r} + {value}.raw[{len(own)}:]"
        )
        self.add("else:", f"    {part} = {kept}")

    def _primitive(self, slot: Slot, value: str) -> str:
        match slot.kind:
            case Kind.TEXT:
                return f"{value}.encode()"
            case Kind.INTEGER | Kind.CODE:
                return f"SMALL[{value}] if 0 <= {value} < 128 else integer({value})"
            case Kind.OID:
                return f"oid_content({value})"
            case Kind.NAMED_BITS:
                return f"named_bits({value})"
            case Kind.BIT_STRING:
                return f"bit_string(octets({value}.octets), {value}.unused)"
        raise TypeError(f"{slot.kind} has no contents of its own")

    def _size(self, slot: Slot, value: str) -> None:
        if slot.size is not None:
            least, most = slot.size
            fits = f"len({value}) == {least}" if least == most else f"{least} <= len({value}) <= {most}"
            self.add(f"if not {fits}:")
            self.add(f"    raise wrong_size(len({value}), {least}, {most})")

    def _list(self, slot: Slot, value: str, part: str, depth: int) -> None:
        assert slot.element is not None
        assert slot.tag is not None
        items, item, piece = f"items_{depth}", f"v{depth}", f"p{depth}"
        self._size(slot, value)
        whole = self.source.field
        self.add(f"{items} = []", f"for {item} in {value}:")
        if whole is not None and depth == 0:
            self.source.field = f"{whole}[]"
            self.source.items[self.source.field] = items
        self.source.depth += 1
        if slot.element.kind is Kind.OCTETS and slot.element.explicit is None:
            self._segment(slot.element, item, items)
        else:
            self._tlv(slot.element, item, piece, depth + 1)
            self.add(f"{items}.append({piece})")
        self.source.depth -= 1
        self.source.field = whole
        self.add(f"c = b''.join({items})")
        self._wrap(slot.tag, "c", part)

    def _segment(self, element: Slot, item: str, items: str) -> None:
        """An octet string in a list, perhaps a long one: written without being copied twice."""
        assert element.tag is not None
        self._size(element, item)
        table, header = self.name("prefixes", element.tag), tag_octets(element.tag)
        self.add(f"n = len({item})")
        self.add(f"{items}.append({table}[n] + {item} if n < 128 else long_tlv({header!r}, {item}))")
