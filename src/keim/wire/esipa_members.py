"""JSON members that hold octets, and the pieces of TLVs they become. Pure; keim.der and keim.errors only."""

from __future__ import annotations

import binascii
from collections.abc import Mapping

import msgspec

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed

Members = dict[str, object]


def base64_of(octets: bytes) -> str:
    return binascii.b2a_base64(octets, newline=False).decode("ascii")


def octets_of(members: Mapping[str, object], name: str) -> bytes:
    text = members.get(name)
    if not isinstance(text, str):
        raise Malformed("the member is missing or no text", offset=0, path=name)
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(f"no base64: {error}", offset=0, path=name) from None


def text_of(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise Malformed("the member is missing or no text", offset=0, path=name)
    return value


def hexadecimal_of(members: Mapping[str, object], name: str) -> bytes:
    try:
        return bytes.fromhex(text_of(members, name))
    except ValueError:
        raise Malformed("no hexadecimal digits", offset=0, path=name) from None


def integer_of(members: Mapping[str, object], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise Malformed("the member is missing or no integer", offset=0, path=name)
    return value


def small_integer(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 8) // 8), "big", signed=True)


def whole_tlv(members: Mapping[str, object], name: str, tag: int) -> bytes:
    """A complete TLV of this tag."""
    octets = octets_of(members, name)
    element = read_tlv(octets)
    if element.tag != tag or element.end != len(octets):
        raise Malformed(f"not one TLV {tag:X}", offset=0, path=name)
    return octets


def with_header(members: Mapping[str, object], name: str, tag: int) -> bytes:
    """The TLV, also where the peer sends only its value."""
    octets = octets_of(members, name)
    header = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    if octets.startswith(header):
        try:
            if read_tlv(octets).end == len(octets):
                return octets
        except Malformed:
            pass
    return tlv(tag, octets)


def children_of(octets: bytes) -> dict[int, bytes]:
    """The members of a constructed TLV by tag, each complete."""
    outer = read_tlv(octets)
    return {child.tag: octets[child.start : child.end] for child in walk(octets, outer.content, outer.end)}


def value_of(octets: bytes) -> bytes:
    element = read_tlv(octets)
    return octets[element.content : element.end]


def members_of(body: bytes) -> Members:
    try:
        members: Members = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is no JSON object: {error}", offset=0) from None
    return members
