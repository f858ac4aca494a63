"""CoAP messages as octets (RFC 7252 §3). Pure; imports keim.errors only."""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed, Unencodable

Options = tuple[tuple[int, bytes], ...]
"""(number, value) in ascending order of numbers."""

_VERSION: Final = 0x40
_MARKER: Final = 0xFF


class Message(msgspec.Struct, frozen=True, gc=False):
    type: int
    code: int
    message_id: int
    token: bytes = b""
    options: Options = ()
    payload: bytes = b""


def decode(datagram: bytes) -> Message:
    if len(datagram) < 4:
        raise _malformed("the datagram ends inside the header", len(datagram))
    first, code = datagram[0], datagram[1]
    token_end = 4 + (first & 15)
    if first & 0xC0 != _VERSION:
        raise _malformed(f"version {first >> 6} is not 1", 0)
    if token_end > 12 or token_end > len(datagram):
        raise _malformed("the token's length is wrong", 0)
    message_id = datagram[2] << 8 | datagram[3]
    kind = first >> 4 & 3
    if code == 0:
        if len(datagram) > 4:
            raise _malformed("an empty message with something in it", 4)
        return Message(kind, 0, message_id)
    options, payload = _options(datagram, token_end)
    return Message(kind, code, message_id, datagram[4:token_end], options, payload)


def _options(data: bytes, position: int) -> tuple[Options, bytes]:
    end = len(data)
    options: list[tuple[int, bytes]] = []
    number = 0
    while position < end:
        first = data[position]
        if first == _MARKER:
            if position + 1 == end:
                raise _malformed("a payload marker without payload", position)
            return tuple(options), data[position + 1 :]
        position += 1
        delta, length = first >> 4, first & 15
        if delta > 12:
            delta, position = _extended(data, delta, position)
        if length > 12:
            length, position = _extended(data, length, position)
        number += delta
        value_end = position + length
        if value_end > end or number > 0xFFFF:
            raise _malformed("an option ends outside of the message", position)
        options.append((number, data[position:value_end]))
        position = value_end
    return tuple(options), b""


def _extended(data: bytes, nibble: int, position: int) -> tuple[int, int]:
    octets = nibble - 12
    if nibble == 15 or position + octets > len(data):
        raise _malformed("an option's header is broken", position)
    extra = int.from_bytes(data[position : position + octets], "big")
    return extra + (13 if octets == 1 else 269), position + octets


def encode(message: Message) -> bytes:
    token = message.token
    if len(token) > 8:
        raise Unencodable("a token has at most 8 octets", path="token")
    header = (_VERSION | message.type << 4 | len(token), message.code)
    parts = [bytes(header), message.message_id.to_bytes(2, "big"), token]
    previous = 0
    for number, value in message.options:
        delta, length = number - previous, len(value)
        if delta < 0:
            raise Unencodable("options must ascend", path="options")
        previous = number
        if delta < 13 and length < 13:
            parts.append(bytes((delta << 4 | length,)))
        else:
            parts.append(_option_header(delta, length))
        parts.append(value)
    if message.payload:
        parts.append(b"\xff")
        parts.append(message.payload)
    return b"".join(parts)


def _option_header(delta: int, length: int) -> bytes:
    delta_nibble, delta_more = _nibble(delta)
    length_nibble, length_more = _nibble(length)
    return bytes((delta_nibble << 4 | length_nibble,)) + delta_more + length_more


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes((value - 13,))
    if value > 0xFFFF + 269:
        raise Unencodable("an option is too long", path="options")
    return 14, (value - 269).to_bytes(2, "big")


def unsigned(value: int) -> bytes:
    """The uint format of §3.2: no leading zeros, nothing for 0."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _malformed(why: str, offset: int) -> Malformed:
    return Malformed(why, offset=offset, code="coap.malformed")
