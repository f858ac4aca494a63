"""SCP80: secured packets over SMS (ETSI TS 102 225, 3GPP TS 31.115), both directions, both sides.

For tools that manage the content of an installed profile, and for the software card that answers them.
Keys and algorithms are `scp80_security`'s.
"""

from __future__ import annotations

import hmac
from enum import IntEnum
from typing import Final

import msgspec

from keim.crypto.scp80_security import CHECKSUM_OCTETS, Security
from keim.errors import BadSignature, Malformed, Unencodable

__all__ = [
    "COMMAND_UDH",
    "RESPONSE_UDH",
    "Command",
    "CommandHeader",
    "Response",
    "Security",
    "Status",
    "counter_status",
    "read_command_header",
    "unwrap_command",
    "unwrap_response",
    "wrap_command",
    "wrap_response",
]

COMMAND_UDH: Final = b"\x02\x70\x00"
RESPONSE_UDH: Final = b"\x02\x71\x00"
_COMMAND_HEADER: Final = 13
_RESPONSE_HEADER: Final = 10
_LARGEST_COUNTER: Final = (1 << 40) - 1


class Status(IntEnum):
    """The response status code of TS 102 225 §5.2."""

    OK = 0x00
    CHECKSUM_FAILED = 0x01
    COUNTER_LOW = 0x02
    COUNTER_HIGH = 0x03
    COUNTER_BLOCKED = 0x04
    CIPHERING_ERROR = 0x05
    UNIDENTIFIED_SECURITY_ERROR = 0x06
    INSUFFICIENT_MEMORY = 0x07
    MORE_TIME = 0x08
    TAR_UNKNOWN = 0x09
    INSUFFICIENT_SECURITY_LEVEL = 0x0A


class CommandHeader(msgspec.Struct, frozen=True, gc=False):
    """What a receiver reads first, to find the keys."""

    spi: bytes
    kic: int
    kid: int
    tar: bytes


class Command(msgspec.Struct, frozen=True, gc=False):
    tar: bytes
    counter: int
    data: bytes


class Response(msgspec.Struct, frozen=True, gc=False):
    tar: bytes
    counter: int
    status: int
    data: bytes


def _protect(
    security: Security,
    *,
    udh: bytes,
    clear: bytes,
    counted: bytes,
    data: bytes,
    checked: bool,
    ciphered: bool,
) -> bytes:
    """Both length fields, `clear`, counter and padding count (and status), checksum, data, padding."""
    checksum_octets = CHECKSUM_OCTETS if checked else 0
    plain = len(counted) + 1 + checksum_octets + len(data)
    padding = -plain % security.cipher_block if ciphered else 0
    # PCNTR stands after the counter in a command, and before the status in a response.
    counted = counted[:5] + bytes((padding,)) + counted[5:]
    data += bytes(padding)
    header_octets = len(clear) + len(counted) + checksum_octets
    lengths = (1 + header_octets + len(data)).to_bytes(2, "big") + bytes((header_octets,))
    checksum = b""
    if checked:
        covered = udh + lengths + clear + counted + data
        checksum = security.checksum(covered)
    body = counted + checksum + data
    if ciphered:
        body = security.encrypt(body)
    return lengths + clear + body


def _unprotect(
    security: Security,
    packet: bytes,
    *,
    udh: bytes,
    clear_octets: int,
    counted_octets: int,
    checked: bool,
    ciphered: bool,
) -> tuple[bytes, bytes]:
    """(counter, padding count and what follows them in the header; data), after all checks."""
    checksum_octets = CHECKSUM_OCTETS if checked else 0
    header_octets = clear_octets + counted_octets + checksum_octets
    if len(packet) < 3 + header_octets or int.from_bytes(packet[:2], "big") != len(packet) - 2:
        raise _bad_form("its length field does not fit")
    if packet[2] != header_octets:
        raise _bad_form("its header length does not fit its security parameters")
    clear, body = packet[3 : 3 + clear_octets], packet[3 + clear_octets :]
    if ciphered:
        if len(body) % security.cipher_block:
            raise _bad_form("the ciphered part is no whole number of blocks")
        body = security.decrypt(body)
    counted = body[:counted_octets]
    data = body[counted_octets + checksum_octets :]
    if checked:
        covered = udh + packet[:3] + clear + counted + data
        checksum = body[counted_octets : counted_octets + checksum_octets]
        if not hmac.compare_digest(checksum, security.checksum(covered)):
            raise BadSignature("the checksum of the packet is wrong", code="crypto.ota_integrity")
    padding = counted[5]
    if padding > len(data) or padding >= security.cipher_block:
        raise _bad_form("its padding counter does not fit")
    return counted, data[: len(data) - padding]


def _bad_form(why: str) -> Malformed:
    return Malformed(f"not a secured packet: {why}", offset=0, code="crypto.ota_form")


def _counter_octets(counter: int) -> bytes:
    if not 0 <= counter <= _LARGEST_COUNTER:
        raise Unencodable("a packet counter has 5 octets", path="counter")
    return counter.to_bytes(5, "big")


def wrap_command(security: Security, *, tar: bytes, counter: int, data: bytes) -> bytes:
    """The command packet (CPL ...); over SMS `COMMAND_UDH` stands before it."""
    clear = security.spi + bytes((security.kic, security.kid)) + tar
    return _protect(
        security,
        udh=b"",
        clear=clear,
        counted=_counter_octets(counter),
        data=data,
        checked=security.is_command_checked,
        ciphered=security.is_command_ciphered,
    )


def read_command_header(packet: bytes) -> CommandHeader:
    """SPI, KIc, KID and TAR of a command packet, so that a card can find its keys."""
    if len(packet) < 3 + _COMMAND_HEADER:
        raise _bad_form("it is shorter than its header")
    return CommandHeader(spi=packet[3:5], kic=packet[5], kid=packet[6], tar=packet[7:10])


def unwrap_command(security: Security, packet: bytes) -> Command:
    """The card's side: checks the checksum; the counter is for `counter_status`."""
    header = read_command_header(packet)
    if (header.spi, header.kic, header.kid) != (security.spi, security.kic, security.kid):
        raise _bad_form("it names other keys or parameters")
    counted, data = _unprotect(
        security,
        packet,
        udh=b"",
        clear_octets=7,
        counted_octets=6,
        checked=security.is_command_checked,
        ciphered=security.is_command_ciphered,
    )
    return Command(tar=header.tar, counter=int.from_bytes(counted[:5], "big"), data=data)


def counter_status(spi: bytes, received: int, stored: int) -> Status:
    """What the counter rule of SPI octet 1 (bits 5 and 4) says to a packet."""
    match spi[0] >> 3 & 0x03:
        case 2 if received <= stored:
            return Status.COUNTER_LOW
        case 3 if received <= stored:
            return Status.COUNTER_LOW
        case 3 if received > stored + 1:
            return Status.COUNTER_HIGH
    return Status.OK


def wrap_response(security: Security, *, tar: bytes, counter: int, status: int, data: bytes) -> bytes:
    """The response packet (proof of receipt) with its UDH, which the checksum covers."""
    return RESPONSE_UDH + _protect(
        security,
        udh=RESPONSE_UDH,
        clear=tar,
        counted=_counter_octets(counter) + bytes((status,)),
        data=data,
        checked=security.is_response_checked,
        ciphered=security.is_response_ciphered,
    )


def unwrap_response(security: Security, user_data: bytes) -> Response:
    """The tool's side; `user_data` starts with the UDH."""
    if user_data[:3] != RESPONSE_UDH:
        raise _bad_form("the user data header of a response is missing")
    packet = user_data[3:]
    counted, data = _unprotect(
        security,
        packet,
        udh=RESPONSE_UDH,
        clear_octets=3,
        counted_octets=7,
        checked=security.is_response_checked,
        ciphered=security.is_response_ciphered,
    )
    return Response(tar=packet[3:6], counter=int.from_bytes(counted[:5], "big"), status=counted[6], data=data)
