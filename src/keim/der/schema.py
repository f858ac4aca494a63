"""From annotations to the schema that decoders, encoders and the viewer are made from.

A message type says `iccid: Annotated[bytes | None, Tag(0x5A), Size(10)] = None`; here that becomes a `Field`
with a `Slot` (how the element stands on the wire) of a `Kind` (what it is). Imports the floor's own files.
"""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any

import msgspec

from keim.der.message import Choice, Message, Sequence
from keim.der.notation import Also, Bare, Explicit, Name, Null, Size, Split, Tag
from keim.der.values import AnyTlv, BitString, Certificate, CertificateList, Code, NamedBits, PublicKeyInfo
from keim.ids import Oid


class Kind(Enum):
    """What an element is; the natural tag of each stands in `NATURAL_TAGS`."""

    BOOLEAN = auto()
    INTEGER = auto()
    CODE = auto()
    OCTETS = auto()
    TEXT = auto()
    OID = auto()
    NULL = auto()
    NAMED_BITS = auto()
    BIT_STRING = auto()
    X509 = auto()
    ANY = auto()
    LIST = auto()
    SEQUENCE = auto()
    CHOICE = auto()


NATURAL_TAGS = {
    Kind.BOOLEAN: 0x01,
    Kind.INTEGER: 0x02,
    Kind.CODE: 0x02,
    Kind.OCTETS: 0x04,
    Kind.TEXT: 0x0C,
    Kind.OID: 0x06,
    Kind.NULL: 0x05,
    Kind.NAMED_BITS: 0x03,
    Kind.BIT_STRING: 0x03,
    Kind.X509: 0x30,
    Kind.LIST: 0x30,
}

_X509 = {Certificate: "certificate", PublicKeyInfo: "public key", CertificateList: "CRL"}
_PLAIN: dict[Any, Kind] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    bytes: Kind.OCTETS,
    str: Kind.TEXT,
    Oid: Kind.OID,
    BitString: Kind.BIT_STRING,
    AnyTlv: Kind.ANY,
}


@dataclass(frozen=True)
class Slot:
    """One element on the wire."""

    kind: Kind
    tag: int | None
    """None: an untagged CHOICE or an open type, whose own tag stands there."""
    explicit: int | None = None
    """The tag of an EXPLICIT wrapper around the element."""
    type: Any = None
    """The class of a SEQUENCE, CHOICE, Code or NamedBits; what an X.509 object is."""
    element: Slot | None = None
    size: tuple[int, int] | None = None
    also: tuple[Also, ...] = ()
    bare: Bare | None = None
    is_split: bool = False

    @property
    def first_tags(self) -> tuple[int, ...]:
        """The tags with which the element may begin; empty for an open type."""
        if self.explicit is not None:
            return (self.explicit,)
        if self.tag is not None:
            return (self.tag,)
        if self.kind is Kind.CHOICE:
            return tuple(tag for field in fields_of(self.type) for tag in field.slot.first_tags)
        return ()


_NOTHING = object()


@dataclass(frozen=True)
class Field:
    name: str
    wire_name: str
    slot: Slot
    default: Any = _NOTHING

    @property
    def is_mandatory(self) -> bool:
        return self.default is _NOTHING

    @property
    def has_value_default(self) -> bool:
        """DEFAULT in the sense of ASN.1, not OPTIONAL."""
        return self.default is not _NOTHING and self.default is not None and self.slot.kind is not Kind.NULL


def wire_name(name: str) -> str:
    """snake_case back to the standard's spelling: `counter_value` -> `counterValue`."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def slot_of(annotation: Any) -> Slot:
    """The slot that an annotation describes (an `X | None` is read as X)."""
    words: list[Any] = []
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            words += reversed(annotation.__metadata__)  # the last word of a level is the outer one
            annotation = annotation.__origin__
        elif origin in (typing.Union, types.UnionType):
            rest = [arm for arm in typing.get_args(annotation) if arm is not types.NoneType]
            if len(rest) != 1:
                raise TypeError(f"{annotation} is no type of a field")
            annotation = rest[0]
        else:
            break
    tag = next((word.octets for word in words if isinstance(word, Tag)), None)
    explicit = next((word.octets for word in words if isinstance(word, Explicit)), None)
    null = next((word for word in words if isinstance(word, Null)), None)
    size = next((word for word in words if isinstance(word, Size)), None)
    kind, own_tag, type_, element = _kind_of(annotation, null is not None)
    return Slot(
        kind=kind,
        tag=null.octets if null else own_tag if tag is None else tag,
        explicit=explicit,
        type=type_,
        element=element,
        size=(size.least, size.highest) if size else None,
        also=tuple(word for word in words if isinstance(word, Also)),
        bare=next((word for word in words if isinstance(word, Bare)), None),
        is_split=any(isinstance(word, Split) for word in words),
    )


def _kind_of(type_: Any, is_null: bool) -> tuple[Kind, int | None, Any, Slot | None]:
    if is_null:
        return Kind.NULL, 0x05, None, None
    if typing.get_origin(type_) is tuple:
        return Kind.LIST, 0x30, None, slot_of(typing.get_args(type_)[0])
    if type_ in _X509:
        return Kind.X509, 0x30, _X509[type_], None
    if type_ in _PLAIN:
        kind = _PLAIN[type_]
        return kind, NATURAL_TAGS.get(kind), None, None
    if isinstance(type_, type):
        if issubclass(type_, Sequence):
            return Kind.SEQUENCE, type_.__keim_tag__, type_, None
        if issubclass(type_, Choice):
            return Kind.CHOICE, type_.__keim_tag__, type_, None
        if issubclass(type_, Code):
            return Kind.CODE, 0x02, type_, None
        if issubclass(type_, NamedBits):
            return Kind.NAMED_BITS, 0x03, type_, None
    raise TypeError(f"{type_!r} is no type of a field")


@cache
def fields_of(cls: type[Message]) -> tuple[Field, ...]:
    """The fields of a SEQUENCE or the alternatives of a CHOICE, in the order of the wire."""
    hints = typing.get_type_hints(cls, include_extras=True)
    defaults = _defaults(cls)
    fields = []
    for name in cls.__struct_fields__:
        if name in ("raw", "ext", "unknown"):
            continue
        words = getattr(hints[name], "__metadata__", ())
        given = next((word.text for word in words if isinstance(word, Name)), None)
        default = defaults[name]
        slot = slot_of(hints[name])
        fields.append(Field(name, given or wire_name(name), slot, default))
    return tuple(fields)


def _defaults(cls: type[Message]) -> dict[str, Any]:
    names = cls.__struct_fields__
    given = cls.__struct_defaults__
    values = [_NOTHING] * (len(names) - len(given)) + list(given)
    return {
        name: _NOTHING if value is msgspec.NODEFAULT else value
        for name, value in zip(names, values, strict=True)
    }
