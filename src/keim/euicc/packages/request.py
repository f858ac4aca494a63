"""Reading a package: its header, each command for itself, and what can be saved of a broken one.

The commands stay opaque here, because one that is unknown or damaged ends only the execution, not the
whole package (processingTerminated 2).
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from keim.der import TOLERANT, AnyTlv, Choice, Sequence, Size, Tag, read_tlv
from keim.errors import Malformed
from keim.messages.common import Octet16, TransactionId


class CommandList(Choice):
    psmo_list: Annotated[tuple[AnyTlv, ...] | None, Tag(0xA0)] = None
    eco_list: Annotated[tuple[AnyTlv, ...] | None, Tag(0xA1)] = None


class SignedPackage(Sequence, keep=True):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]
    eid_value: Annotated[Octet16, Tag(0x5A)]
    counter_value: Annotated[int, Tag(0x81)]
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    euicc_package: CommandList


class PackageRequest(Sequence, tag=0xBF51):
    euicc_package_signed: SignedPackage
    eim_signature: Annotated[bytes, Tag(0x5F37)]


class Head(NamedTuple):
    """What was legible of a package that is broken or too long."""

    eim_id: str | None = None
    counter_value: int | None = None
    transaction_id: bytes | None = None


def read_package(request: bytes) -> PackageRequest:
    return PackageRequest.decode(request, TOLERANT)


def legible_head(octets: bytes) -> Head:
    """Walks as far as the octets carry; lengths may reach beyond what was received."""
    found: dict[int, bytes] = {}
    try:
        position = _content(octets, 0, 0xBF51)
        position = _content(octets, position, 0x30)
        while position < len(octets):
            tag = octets[position]
            if tag not in (0x80, 0x5A, 0x81, 0x82):
                break
            element = read_tlv(octets, position, any_length_form=True)
            found.setdefault(tag, octets[element.content : element.end])
            position = element.end
    except (Malformed, IndexError):
        pass  # whatever was found up to here is what is legible
    return Head(_eim_id(found.get(0x80)), _counter(found.get(0x81)), _transaction(found.get(0x82)))


def _content(octets: bytes, position: int, tag: int) -> int:
    """Where the contents begin of a TLV that may be cut off; Malformed when it is another one."""
    size = 2 if tag > 0xFF else 1
    if int.from_bytes(octets[position : position + size], "big") != tag:
        raise Malformed("another object", offset=position)
    position += size
    first = octets[position]
    return position + 1 + (first & 0x7F if first > 0x7F else 0)


def _eim_id(octets: bytes | None) -> str | None:
    try:
        text = octets.decode() if octets is not None else ""
    except UnicodeDecodeError:
        return None
    return text if 1 <= len(text) <= 128 else None


def _counter(octets: bytes | None) -> int | None:
    return int.from_bytes(octets, "big", signed=True) if octets else None


def _transaction(octets: bytes | None) -> bytes | None:
    return octets if octets is not None and 1 <= len(octets) <= 16 else None
