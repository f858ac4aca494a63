"""OMA-TLV (LwM2M 1.0 §6.4.3), as far as resources of one instance need it. Pure; imports keim.errors only."""

from __future__ import annotations

from typing import Final

from keim.errors import Malformed

_RESOURCE: Final = 0xC0


def write_resource(number: int, value: bytes) -> bytes:
    """One resource with its value."""
    length = len(value)
    if length >= 1 << 24:
        raise Malformed("a resource has at most 16 MiB", offset=0, code="lwm2m.malformed_tlv")
    octets = 0 if length < 8 else (length.bit_length() + 7) // 8
    first = _RESOURCE | (0x20 if number > 0xFF else 0) | octets << 3 | (length if not octets else 0)
    name = number.to_bytes(2 if number > 0xFF else 1, "big")
    return bytes((first,)) + name + (length.to_bytes(octets, "big") if octets else b"") + value


def read_resources(data: bytes) -> dict[int, bytes]:
    """The values by number; instances of objects or of resources are none of object 3443."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        first = data[position]
        name_end = position + (3 if first & 0x20 else 2)
        octets = first >> 3 & 3
        value_at = name_end + octets
        if first & 0xC0 != _RESOURCE or value_at > len(data):
            raise Malformed("no resource stands here", offset=position, code="lwm2m.malformed_tlv")
        length = int.from_bytes(data[name_end:value_at], "big") if octets else first & 7
        end = value_at + length
        if end > len(data):
            raise Malformed(
                "a value ends outside of the message", offset=position, code="lwm2m.malformed_tlv"
            )
        found[int.from_bytes(data[position + 1 : name_end], "big")] = data[value_at:end]
        position = end
    return found


def integer(value: int) -> bytes:
    """In one, two, four or eight octets."""
    for octets in (1, 2, 4):
        if -(1 << 8 * octets - 1) <= value < 1 << 8 * octets - 1:
            return value.to_bytes(octets, "big", signed=True)
    return value.to_bytes(8, "big", signed=True)
