"""An object as a tree for people: every TLV with its place, its name in the standard, and its value.

The viewer only labels; whether the object is right is for the decoder to say. It never drops anything: what
the schema does not know is shown as plain TLV. Imports the floor's own files only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from keim.der import read
from keim.der.read import MAX_DEPTH, Tlv, read_tlv
from keim.der.schema import Field, Kind, Slot, fields_of, slot_of
from keim.der.values import NamedBits
from keim.errors import Malformed


@dataclass(frozen=True, slots=True)
class Node:
    """One TLV. `value` is None for constructed ones; `type` is empty where the schema is silent."""

    name: str
    type: str
    tag: int
    start: int
    content: int
    end: int
    value: str | None = None
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def view(octets: bytes, annotation: Any = None, start: int = 0) -> Node:
    """The TLV at `start`, labelled as the type `annotation` where one is given."""
    element = read_tlv(octets, start, any_length_form=True)
    if annotation is None:
        return _plain(octets, element, "", 0)
    slot = slot_of(annotation)
    name = getattr(annotation, "__keim_name__", "")
    return _labelled(octets, element, slot, name, 0)


def _labelled(b: bytes, element: Tlv, slot: Slot, name: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        return _leaf(b, element, name, "")
    if slot.explicit is not None:
        inner = replace(slot, explicit=None)
        children = tuple(_labelled(b, child, inner, "", depth + 1) for child in _children(b, element))
        return _node(element, name, "", children)
    if slot.tag is None and slot.kind is Kind.CHOICE:
        return _alternative(b, element, slot.type, name, depth)
    match slot.kind:
        case Kind.SEQUENCE:
            return _node(element, name, slot.type.__keim_name__, _members(b, element, slot.type, depth))
        case Kind.CHOICE:
            children = tuple(
                _alternative(b, child, slot.type, "", depth + 1) for child in _children(b, element)
            )
            return _node(element, name, slot.type.__keim_name__, children)
        case Kind.LIST:
            assert slot.element is not None
            items = enumerate(_children(b, element))
            children = tuple(
                _labelled(b, item, slot.element, f"[{number}]", depth + 1) for number, item in items
            )
            return _node(element, name, "list", children)
        case Kind.X509:
            return _leaf(b, element, name, slot.type)
        case Kind.ANY:
            return _plain(b, element, name, depth)
    return _leaf(b, element, name, slot.kind.name.replace("_", " "), _value(b, element, slot))


def _alternative(b: bytes, element: Tlv, cls: Any, name: str, depth: int) -> Node:
    """The alternative of an untagged CHOICE; the field's name and the alternative's stand together."""
    for field in fields_of(cls):
        if _fits(field, element.tag):
            label = f"{name}.{field.wire_name}" if name else field.wire_name
            return _labelled(b, element, field.slot, label, depth + 1)
    return _plain(b, element, name, depth)


def _members(b: bytes, element: Tlv, cls: Any, depth: int) -> tuple[Node, ...]:
    fields = fields_of(cls)
    nodes, place = [], 0
    for child in _children(b, element):
        found = next(
            (number for number in range(place, len(fields)) if _fits(fields[number], child.tag)), None
        )
        if found is None:
            nodes.append(_plain(b, child, "", depth + 1))
        else:
            field = fields[found]
            place = found if field.slot.is_split else found + 1
            nodes.append(_labelled(b, child, field.slot, field.wire_name, depth + 1))
    return tuple(nodes)


def _fits(field: Field, tag: int) -> bool:
    tags = field.slot.first_tags
    return tag in tags or not tags or any(also.octets == tag for also in field.slot.also)


def _children(b: bytes, element: Tlv) -> list[Tlv]:
    """The TLVs inside; contents that are no TLVs come as one leaf with tag 0."""
    found, p = [], element.content
    while p < element.end:
        try:
            child = read_tlv(b, p, element.end, any_length_form=True)
        except Malformed:
            found.append(Tlv(0, p, p, element.end))
            break
        found.append(child)
        p = child.end
    return found


def _node(element: Tlv, name: str, type_: str, children: tuple[Node, ...]) -> Node:
    return Node(name, type_, element.tag, element.start, element.content, element.end, None, children)


def _leaf(b: bytes, element: Tlv, name: str, type_: str, value: str | None = None) -> Node:
    text = b[element.content : element.end].hex() if value is None else value
    return Node(name, type_, element.tag, element.start, element.content, element.end, text)


def _plain(b: bytes, element: Tlv, name: str, depth: int) -> Node:
    if element.tag and element.is_constructed and depth < MAX_DEPTH:
        children = tuple(_plain(b, child, "", depth + 1) for child in _children(b, element))
        return _node(element, name, "", children)
    return _leaf(b, element, name, "" if element.tag else "no TLV")


def _value(b: bytes, element: Tlv, slot: Slot) -> str:
    """A primitive as text; contents that are none are shown as hex."""
    s, q = element.content, element.end
    try:
        match slot.kind:
            case Kind.BOOLEAN:
                return str(read.any_boolean(b, s, q)).upper()
            case Kind.INTEGER:
                return str(read.padded_integer(b, s, q))
            case Kind.CODE:
                code = slot.type(read.padded_integer(b, s, q))
                return f"{code.name.lower()} ({int(code)})"
            case Kind.TEXT:
                return repr(b[s:q].decode())
            case Kind.OID:
                return read.oid_text(b, s, q)
            case Kind.NULL:
                return "present" if s == q else b[s:q].hex()
            case Kind.NAMED_BITS:
                bits: NamedBits = slot.type(read.unstripped_bits(b, s, q))
                return ", ".join(bit.lower() for bit in bits.names) or "none"
    except (Malformed, UnicodeDecodeError, ValueError):
        return b[s:q].hex()
    return b[s:q].hex()
