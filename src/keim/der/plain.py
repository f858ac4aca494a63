"""Values to and from plain dictionaries, for JSON, scenario files and test vectors.

Octets are {"hex": ..}, bit strings {"bits": "0101"} with bit 0 first, OIDs {"oid": ..}, integers beyond 2^53
{"int": ..}, X.509 objects and open types {"der": ..}, a CHOICE {alternative: value}; absent fields are
absent. Imports the floor's own files only.
"""

from __future__ import annotations

from typing import Any

from keim.der.message import Message
from keim.der.schema import Kind, Slot, fields_of, slot_of
from keim.der.values import BitString
from keim.errors import Refused
from keim.ids import Oid

_EXACT = 1 << 53


def to_plain(value: Any, annotation: Any = None) -> Any:
    """The plain form of a decoded value."""
    return _to(value, slot_of(type(value) if annotation is None else annotation))


def from_plain(annotation: Any, plain: Any) -> Any:
    """The value that a plain form describes; `Refused` tells what does not fit, and where."""
    return _from(plain, slot_of(annotation), "")


def _to(value: Any, slot: Slot) -> Any:
    match slot.kind:
        case Kind.OCTETS:
            return {"hex": value.hex()}
        case Kind.X509 | Kind.ANY:
            return {"der": value.hex()}
        case Kind.INTEGER | Kind.CODE:
            number = int(value)
            return number if -_EXACT < number < _EXACT else {"int": str(number)}
        case Kind.NULL:
            return None
        case Kind.OID:
            return {"oid": str(value)}
        case Kind.NAMED_BITS:
            return {"bits": f"{int(value):b}"[::-1] if value else ""}
        case Kind.BIT_STRING:
            return {"bits": str(value)}
        case Kind.LIST:
            assert slot.element is not None
            return [_to(item, slot.element) for item in value]
        case Kind.SEQUENCE | Kind.CHOICE:
            return _message_to(value)
    return value


def _message_to(value: Message) -> dict[str, Any]:
    plain = {}
    for field in fields_of(type(value)):
        item = getattr(value, field.name)
        if item is None or (field.slot.kind is Kind.NULL and not item):
            continue
        if field.has_value_default and item == field.default:
            continue
        plain[field.wire_name] = _to(item, field.slot)
    if getattr(value, "unknown", None) is not None:
        plain["unknown"] = {"der": value.unknown.hex()}  # type: ignore[attr-defined]  # Choice has it
    return plain


def _from(plain: Any, slot: Slot, path: str) -> Any:
    try:
        return _convert(plain, slot, path)
    except (TypeError, ValueError, KeyError, AttributeError) as fault:
        raise Refused(f"{path or 'value'}: {fault!s} in {plain!r:.60}", code="codec.unencodable") from None


def _convert(plain: Any, slot: Slot, path: str) -> Any:
    match slot.kind:
        case Kind.OCTETS:
            return bytes.fromhex(plain["hex"])
        case Kind.X509 | Kind.ANY:
            return bytes.fromhex(plain["der"])
        case Kind.INTEGER | Kind.CODE:
            number = int(plain["int"]) if isinstance(plain, dict) else plain
            if type(number) is not int:
                raise TypeError("a number is expected")
            return slot.type(number) if slot.kind is Kind.CODE else number
        case Kind.NULL:
            return True
        case Kind.OID:
            return Oid(plain["oid"])
        case Kind.NAMED_BITS:
            bits = plain["bits"]
            return slot.type(int(bits[::-1] or "0", 2))
        case Kind.BIT_STRING:
            return BitString.of(plain["bits"])
        case Kind.LIST:
            assert slot.element is not None
            return tuple(_from(item, slot.element, f"{path}[{number}]") for number, item in enumerate(plain))
        case Kind.SEQUENCE | Kind.CHOICE:
            return _message_from(slot.type, plain, path)
    return plain


def _message_from(cls: Any, plain: dict[str, Any], path: str) -> Any:
    fields = {field.wire_name: field for field in fields_of(cls)}
    strange = plain.keys() - fields.keys()
    if strange:
        raise Refused(f"{path or cls.__name__} has no {', '.join(sorted(strange))}", code="codec.unencodable")
    given = {
        fields[name].name: _from(item, fields[name].slot, f"{path}.{name}" if path else name)
        for name, item in plain.items()
    }
    absent = [field.wire_name for field in fields.values() if field.is_mandatory and field.name not in given]
    if absent:
        raise Refused(f"{path or cls.__name__} needs {', '.join(absent)}", code="codec.unencodable")
    return cls(**given)
