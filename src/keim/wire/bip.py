"""The Bearer Independent Protocol as octets: proactive commands out, terminal responses and events in.

COMPREHENSION-TLVs of TS 102 223, as far as a client of TCP and UDP needs them. Both ends: the IPA in the card
writes commands, the terminal model reads them. Pure; imports keim.errors only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from keim.errors import Malformed

REFRESH, SET_UP_EVENT_LIST, PROVIDE_LOCAL_INFORMATION, TIMER_MANAGEMENT = 0x01, 0x05, 0x26, 0x27
OPEN_CHANNEL, CLOSE_CHANNEL, RECEIVE_DATA, SEND_DATA = 0x40, 0x41, 0x42, 0x43
DETAILS, DEVICES, RESULT, LOCATION = 0x01, 0x02, 0x03, 0x13
EVENT_LIST, TIMER_ID, TIMER_VALUE, DATE_TIME = 0x19, 0x24, 0x25, 0x26
BEARER, CHANNEL_DATA, CHANNEL_DATA_LENGTH, CHANNEL_STATUS = 0x35, 0x36, 0x37, 0x38
BUFFER_SIZE, TRANSPORT, DESTINATION, ACCESS_NAME = 0x39, 0x3C, 0x3E, 0x47
PROACTIVE, EVENT_DOWNLOAD, TIMER_EXPIRATION = 0xD0, 0xD6, 0xD7
EVENT_LOCATION, EVENT_DATA_AVAILABLE, EVENT_CHANNEL_STATUS = 0x03, 0x09, 0x0A
UDP, TCP = 0x01, 0x02
CARD, TERMINAL, NETWORK, CHANNELS = 0x81, 0x82, 0x83, 0x20
LOCATION_INFORMATION, DATE_AND_TIME = 0x00, 0x03
PERFORMED, BIP_ERROR = 0x00, 0x3A
MOST_DATA: Final = 200
"""Octets of one SEND DATA or RECEIVE DATA: with its headers a command stays below 256."""
BUFFER_OCTETS: Final = 1400


def object_tlv(tag: int, value: bytes) -> bytes:
    length = bytes((len(value),)) if len(value) < 0x80 else bytes((0x81, len(value)))
    return bytes((tag,)) + length + value


def objects(octets: bytes) -> dict[int, bytes]:
    """The first object of each tag, without the comprehension bit."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(octets):
        tag = octets[position] & 0x7F
        if position + 1 >= len(octets):
            raise Malformed("an object is cut off", offset=position)
        length, start = octets[position + 1], position + 2
        if length == 0x81:
            if start >= len(octets):
                raise Malformed("an object is cut off", offset=position)
            length, start = octets[start], start + 1
        if start + length > len(octets):
            raise Malformed("an object is cut off", offset=position)
        found.setdefault(tag, octets[start : start + length])
        position = start + length
    return found


def inside(octets: bytes, tag: int) -> dict[int, bytes]:
    """The objects of a D0, D6 or D7."""
    if len(octets) < 2 or octets[0] != tag:
        raise Malformed(f"not a {tag:02X}", offset=0)
    return objects(octets[3:] if octets[1] == 0x81 else octets[2:])


def command(kind: int, qualifier: int, target: int, *parts: bytes) -> bytes:
    details = object_tlv(0x80 | DETAILS, bytes((0x01, kind, qualifier)))
    devices = object_tlv(0x80 | DEVICES, bytes((CARD, target)))
    return object_tlv(PROACTIVE, details + devices + b"".join(parts))


def open_channel(address: bytes, port: int, *, protocol: int = TCP, access_name: bytes = b"") -> bytes:
    """To an IPv4 address, by the default bearer, at once."""
    name = object_tlv(ACCESS_NAME, access_name) if access_name else b""
    return command(
        OPEN_CHANNEL,
        0x01,
        TERMINAL,
        object_tlv(0x80 | BEARER, b"\x03"),
        object_tlv(0x80 | BUFFER_SIZE, BUFFER_OCTETS.to_bytes(2, "big")),
        name,
        object_tlv(0x80 | TRANSPORT, bytes((protocol,)) + port.to_bytes(2, "big")),
        object_tlv(0x80 | DESTINATION, b"\x21" + address),
    )


def send_data(channel: int, octets: bytes) -> bytes:
    return command(SEND_DATA, 0x01, CHANNELS | channel, object_tlv(0x80 | CHANNEL_DATA, octets))


def receive_data(channel: int) -> bytes:
    wanted = object_tlv(0x80 | CHANNEL_DATA_LENGTH, bytes((MOST_DATA,)))
    return command(RECEIVE_DATA, 0x00, CHANNELS | channel, wanted)


def close_channel(channel: int) -> bytes:
    return command(CLOSE_CHANNEL, 0x00, CHANNELS | channel)


def set_up_event_list(*events: int) -> bytes:
    return command(SET_UP_EVENT_LIST, 0x00, TERMINAL, object_tlv(0x80 | EVENT_LIST, bytes(events)))


def provide(information: int) -> bytes:
    return command(PROVIDE_LOCAL_INFORMATION, information, TERMINAL)


def start_timer(timer: int, seconds: int) -> bytes:
    return command(
        TIMER_MANAGEMENT,
        0x00,
        TERMINAL,
        object_tlv(0x80 | TIMER_ID, bytes((timer,))),
        object_tlv(0x80 | TIMER_VALUE, timer_value(seconds)),
    )


def timer_value(seconds: int) -> bytes:
    """Hours, minutes, seconds as swapped digits; a timer runs for a day at most."""
    seconds = min(max(seconds, 1), 86_399)
    return bytes(swapped(part) for part in (seconds // 3600, seconds // 60 % 60, seconds % 60))


def timer_seconds(value: bytes) -> int:
    hours, minutes, seconds = (unswapped(octet) for octet in value)
    return hours * 3600 + minutes * 60 + seconds


def swapped(number: int) -> int:
    return number % 10 << 4 | number // 10


def unswapped(octet: int) -> int:
    return (octet & 0x0F) * 10 + (octet >> 4)


class Response(NamedTuple):
    """A TERMINAL RESPONSE."""

    result: int
    members: dict[int, bytes]

    @property
    def is_performed(self) -> bool:
        return self.result < 0x10


def read_response(octets: bytes) -> Response:
    members = objects(octets)
    result = members.get(RESULT, b"")
    if not result:
        raise Malformed("the terminal response has no result", offset=0)
    return Response(result[0], members)


def response(details: bytes, result: bytes, *parts: bytes) -> bytes:
    return (
        object_tlv(0x80 | DETAILS, details)
        + object_tlv(0x80 | DEVICES, bytes((TERMINAL, CARD)))
        + object_tlv(0x80 | RESULT, result)
        + b"".join(parts)
    )


def event(kind: int, *parts: bytes) -> bytes:
    devices = object_tlv(0x80 | DEVICES, bytes((TERMINAL, CARD)))
    return object_tlv(
        EVENT_DOWNLOAD, object_tlv(0x80 | EVENT_LIST, bytes((kind,))) + devices + b"".join(parts)
    )


def timer_expired(timer: int) -> bytes:
    devices = object_tlv(0x80 | DEVICES, bytes((TERMINAL, CARD)))
    value = object_tlv(0x80 | TIMER_ID, bytes((timer,))) + object_tlv(0x80 | TIMER_VALUE, bytes(3))
    return object_tlv(TIMER_EXPIRATION, devices + value)
