"""The card behind a QMI modem, through the socket of `qmi-proxy` (service UIM; bindings §12.5).

QMUX frames with little-endian numbers; one transaction at a time. Tested against a scripted proxy; not tried
on hardware. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Protocol

from keim.errors import Malformed, Refused, TimedOut, Unreachable
from keim.io.modem_channels import ModemChannels

PROXY_SOCKET: Final = "\0qmi-proxy"
CTL, UIM = 0x00, 0x0B
PROXY_OPEN, ALLOCATE_CID, RELEASE_CID = 0xFF00, 0x0022, 0x0023
SIM_POWER_OFF, SIM_POWER_ON = 0x0030, 0x0031
SEND_APDU, LOGICAL_CHANNEL, OPEN_LOGICAL_CHANNEL = 0x003B, 0x003F, 0x0042
RESULT: Final = 0x02

Tlvs = dict[int, bytes]


class Stream(Protocol):
    def sendall(self, octets: bytes, /) -> None: ...

    def recv(self, count: int, /) -> bytes: ...

    def close(self) -> None: ...


def connect(path: str = PROXY_SOCKET, *, timeout_s: float = 120.0) -> Stream:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(timeout_s)
    try:
        link.connect(path)
    except OSError as fault:
        link.close()
        raise Unreachable(f"qmi-proxy does not listen: {fault}", code="ipa.modem_unreachable") from fault
    return link


class QmiSessions:
    """One client of the service UIM on one modem and slot."""

    def __init__(self, stream: Stream, device: str, *, slot: int = 1) -> None:
        self._stream, self._slot = stream, slot
        self._transaction = 0
        self._buffer = b""
        self._request(CTL, 0, PROXY_OPEN, {0x01: device.encode()})
        allocated = self._request(CTL, 0, ALLOCATE_CID, {0x01: bytes((UIM,))})
        self._client = _need(allocated, 0x01, 2)[1]

    def open_session(self, aid: bytes) -> tuple[int, bytes]:
        answer = self._uim(OPEN_LOGICAL_CHANNEL, {0x01: self._slot_octet, 0x10: bytes((len(aid),)) + aid})
        session = _need(answer, 0x10, 1)[0]
        status = answer.get(0x11, b"\x90\x00")
        selected = answer.get(0x12, b"\x00")
        return session, selected[1 : 1 + selected[0]] + status[:2]

    def send(self, session: int, apdu: bytes) -> bytes:
        request = {
            0x01: self._slot_octet,
            0x02: struct.pack("<H", len(apdu)) + apdu,
            0x10: bytes((session,)),
        }
        return self._apdu(request)

    def send_basic(self, apdu: bytes) -> bytes | None:
        try:
            return self._apdu({0x01: self._slot_octet, 0x02: struct.pack("<H", len(apdu)) + apdu})
        except Refused:
            return None

    def _apdu(self, request: Tlvs) -> bytes:
        found = _need(self._uim(SEND_APDU, request), 0x10, 4)
        length = int.from_bytes(found[:2], "little")
        if length != len(found) - 2:
            raise _unreadable("the response APDU is cut off", found)
        return found[2:]

    def close_session(self, session: int) -> None:
        try:
            self._uim(LOGICAL_CHANNEL, {0x01: self._slot_octet, 0x11: bytes((session,))})
        except Refused:
            return  # closed with the card's power

    def reset(self) -> bytes:
        self._uim(SIM_POWER_OFF, {0x01: self._slot_octet})
        self._uim(SIM_POWER_ON, {0x01: self._slot_octet})
        return b""

    def close(self) -> None:
        with suppress(Refused, Unreachable, TimedOut, Malformed):  # it ends with the connection anyway
            self._request(CTL, 0, RELEASE_CID, {0x01: bytes((UIM, self._client))})
        self._stream.close()

    @property
    def _slot_octet(self) -> bytes:
        return bytes((self._slot,))

    def _uim(self, message: int, tlvs: Tlvs) -> Tlvs:
        return self._request(UIM, self._client, message, tlvs)

    def _request(self, service: int, client: int, message: int, tlvs: Tlvs) -> Tlvs:
        self._transaction = self._transaction % 0xFE + 1
        content = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tlvs.items())
        head = struct.pack("<BB" if service == CTL else "<BH", 0, self._transaction)
        body = head + struct.pack("<HH", message, len(content)) + content
        frame = struct.pack("<BHBBB", 0x01, len(body) + 5, 0x00, service, client) + body
        try:
            self._stream.sendall(frame)
        except OSError as fault:
            raise Unreachable(f"qmi-proxy is gone: {fault}", code="ipa.modem_unreachable") from fault
        while True:
            answer = self._answer(service, message)
            if answer is not None:
                return answer

    def _answer(self, service: int, message: int) -> Tlvs | None:
        """The response of our transaction; indications and others' frames are passed over."""
        frame = self._frame()
        if len(frame) < 5 or frame[1] != service:
            return None
        width = 1 if service == CTL else 2
        body = frame[3:]
        if len(body) < width + 5:
            raise _unreadable("a QMI message is cut off", frame)
        is_response = body[0] & (0x01 if service == CTL else 0x02)
        transaction = int.from_bytes(body[1 : 1 + width], "little")
        kind, length = struct.unpack_from("<HH", body, 1 + width)
        if not is_response or transaction != self._transaction or kind != message:
            return None
        tlvs = dict(_tlvs(body[width + 5 : width + 5 + length]))
        result = tlvs.get(RESULT, bytes(4))
        if len(result) >= 4 and struct.unpack_from("<HH", result)[0]:
            raise Refused(
                f"QMI error {struct.unpack_from('<HH', result)[1]} to {message:04X}", code="ipa.modem_refused"
            )
        return tlvs

    def _frame(self) -> bytes:
        """One QMUX frame from its flags on."""
        head = self._exactly(3)
        if head[0] != 0x01:
            raise _unreadable("no QMUX frame", head)
        return self._exactly(int.from_bytes(head[1:3], "little") - 2)

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            try:
                octets = self._stream.recv(4096)
            except TimeoutError as late:
                raise TimedOut("the modem did not answer", code="ipa.modem_silent") from late
            except OSError as fault:
                raise Unreachable(f"qmi-proxy is gone: {fault}", code="ipa.modem_unreachable") from fault
            if not octets:
                raise Unreachable("qmi-proxy closed the connection", code="ipa.modem_unreachable")
            self._buffer += octets
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found


def _tlvs(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 3 <= len(content):
        tag, length = struct.unpack_from("<BH", content, position)
        value = content[position + 3 : position + 3 + length]
        if len(value) != length:
            raise _unreadable("a TLV is cut off", content)
        yield tag, value
        position += 3 + length


def _need(tlvs: Tlvs, tag: int, least: int) -> bytes:
    value = tlvs.get(tag, b"")
    if len(value) < least:
        raise _unreadable(f"TLV {tag:02X} is missing", b"".join(tlvs.values()))
    return value


def _unreadable(why: str, octets: bytes) -> Malformed:
    return Malformed(
        why, offset=0, code="ipa.modem_unreadable", party="modem", evidence=octets[:64].hex().upper()
    )


def open_qmi(device: str, *, slot: int = 1, stream: Stream | None = None) -> ModemChannels:
    return ModemChannels(QmiSessions(stream or connect(), device, slot=slot))
