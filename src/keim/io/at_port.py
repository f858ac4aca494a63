"""A modem's AT command port: a serial line or a TCP connection, one command at a time (TS 27.007).

Echo, unsolicited lines and empty lines are passed over; a final result ends a command. Imports keim.errors
only.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

from keim.errors import Refused, TimedOut, Unreachable

FINAL_OK = "OK"
FINAL_ERRORS = ("ERROR", "+CME ERROR", "+CMS ERROR", "NO CARRIER", "COMMAND NOT SUPPORT")


class Line(Protocol):
    def write(self, octets: bytes) -> None: ...

    def read(self, timeout_s: float) -> bytes:
        """What came within the time, at least one octet; nothing when the time is over."""
        ...

    def close(self) -> None: ...


class SerialLine:
    """A tty in raw mode, without the help of further packages (POSIX)."""

    def __init__(self, path: str, *, speed: int = 115_200) -> None:
        import termios
        import tty

        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as fault:
            raise Unreachable(f"{path}: {fault.strerror}", code="ipa.modem_unreachable") from fault
        try:
            tty.setraw(self._descriptor)
            attributes = termios.tcgetattr(self._descriptor)
            number = getattr(termios, f"B{speed}", None)
            if number is None:
                raise Refused(f"{speed} is no speed of a serial line", code="ipa.unknown_channel")
            attributes[4] = attributes[5] = number
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
            termios.tcflush(self._descriptor, termios.TCIOFLUSH)
        except termios.error as fault:
            os.close(self._descriptor)
            raise Unreachable(f"{path} is no serial line: {fault}", code="ipa.modem_unreachable") from fault

    def write(self, octets: bytes) -> None:
        left = octets
        while left:
            select.select([], [self._descriptor], [], 10.0)
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as fault:
                raise Unreachable(f"the modem is gone: {fault}", code="ipa.modem_unreachable") from fault

    def read(self, timeout_s: float) -> bytes:
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return b""
        try:
            octets = os.read(self._descriptor, 4096)
        except OSError as fault:
            raise Unreachable(f"the modem is gone: {fault}", code="ipa.modem_unreachable") from fault
        if not octets:
            raise Unreachable("the modem is gone", code="ipa.modem_unreachable")
        return octets

    def close(self) -> None:
        os.close(self._descriptor)


class TcpLine:
    """A modem behind a terminal server."""

    def __init__(self, host: str, port: int) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=10.0)
        except OSError as fault:
            raise Unreachable(f"{host}:{port}: {fault}", code="ipa.modem_unreachable") from fault

    def write(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as fault:
            raise Unreachable(f"the modem is gone: {fault}", code="ipa.modem_unreachable") from fault

    def read(self, timeout_s: float) -> bytes:
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        if not ready:
            return b""
        try:
            octets = self._socket.recv(4096)
        except OSError as fault:
            raise Unreachable(f"the modem is gone: {fault}", code="ipa.modem_unreachable") from fault
        if not octets:
            raise Unreachable("the modem closed the connection", code="ipa.modem_unreachable")
        return octets

    def close(self) -> None:
        self._socket.close()


class AtPort:
    def __init__(
        self,
        line: Line,
        *,
        timeout_s: float = 120.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line, self._timeout_s, self._monotonic = line, timeout_s, monotonic
        self._buffer = b""
        self._is_closed = False

    def command(self, text: str, *, timeout_s: float | None = None) -> list[str]:
        """The information lines of the answer; `Refused` for a final error."""
        self._buffer = b""
        self._line.write(text.encode("ascii") + b"\r")
        until = self._monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        lines: list[str] = []
        while True:
            line = self._read_line(until, text)
            if line == FINAL_OK:
                return lines
            if line.startswith(FINAL_ERRORS):
                raise Refused(f"{text[:40]}: {line}", code="ipa.modem_refused")
            if line and line != text:
                lines.append(line)

    def _read_line(self, until: float, text: str) -> str:
        while b"\n" not in self._buffer and not self._buffer.endswith(b"\r"):
            left = until - self._monotonic()
            octets = self._line.read(max(left, 0.0)) if left > 0 else b""
            if not octets:
                raise TimedOut(f"no answer to {text[:40]}", code="ipa.modem_silent")
            self._buffer += octets
        line, _, self._buffer = self._buffer.replace(b"\r", b"\n").partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._line.close()
