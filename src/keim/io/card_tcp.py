"""A `CardChannel` to a card that `keim.io.card_server` serves over TCP."""

from __future__ import annotations

import contextlib
import socket

from keim.errors import TimedOut, Unreachable
from keim.io.card_server import POWER_OFF, RESET, SEND_ATR, receive_message, send_message


class TcpCardChannel:
    """One reader's connection. The card is powered by `reset` and loses power at `close`."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 120.0) -> None:
        try:
            self._connection = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as fault:
            raise Unreachable(
                f"No card answers on {host}:{port}: {fault.strerror or fault}", code="euicc.card_unreachable"
            ) from fault
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._connection.makefile("rb")

    def transmit(self, apdu: bytes) -> bytes:
        if len(apdu) == 1:  # would be taken for a control of the framing; no APDU has one octet
            return b"\x67\x00"
        return self._exchange(apdu)

    def reset(self) -> bytes:
        self._send(bytes([RESET]))
        return self._exchange(bytes([SEND_ATR]))

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the card may have gone first
            send_message(self._connection, bytes([POWER_OFF]))
        self._stream.close()
        self._connection.close()

    def _send(self, message: bytes) -> None:
        try:
            send_message(self._connection, message)
        except OSError as fault:
            raise _lost(fault) from fault

    def _exchange(self, message: bytes) -> bytes:
        self._send(message)
        try:
            answer = receive_message(self._stream.read)
        except TimeoutError as fault:
            raise TimedOut("The card did not answer in time.", code="euicc.card_silent") from fault
        except (OSError, EOFError) as fault:
            raise _lost(fault) from fault
        if answer is None:
            raise _lost(None)
        return answer


def _lost(fault: Exception | None) -> Unreachable:
    reason = f": {fault}" if fault is not None and str(fault) else ""
    return Unreachable(f"The connection to the card was lost{reason}.", code="euicc.card_unreachable")
