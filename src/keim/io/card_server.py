"""A card behind a TCP connection, and the card side of vsmartcard's virtual reader (vpcd): one framing for
both.

Every message has a length of two octets, big-endian, before it. From the reader: a message of one octet is a
control (00 power off, 01 power on, 02 reset, 04 send the ATR), any other is a command APDU. From the card:
one message for each command APDU (the response APDU) and for each "send the ATR"; the other controls are not
answered. `serve_tcp` listens and takes one reader at a time; `serve_vpcd` connects to a vpcd that listens.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from keim.errors import Unreachable
from keim.euicc.faults import PowerLost

POWER_OFF, POWER_ON, RESET, SEND_ATR = 0x00, 0x01, 0x02, 0x04
VPCD_PORT = 35963


class PoweredCard(Protocol):
    """What a reader needs of a card."""

    def transmit(self, octets: bytes, /) -> bytes: ...

    def reset(self) -> bytes: ...

    def power_off(self) -> None: ...


def serve_connection(card: PoweredCard, connection: socket.socket) -> None:
    """Answers one reader until it goes, or until a fault control cuts the card's power."""
    atr: bytes | None = None
    stream = connection.makefile("rb")
    with stream:
        while (message := receive_message(stream.read)) is not None:
            try:
                if len(message) != 1:
                    send_message(connection, card.transmit(message))
                elif message[0] == SEND_ATR:
                    atr = atr if atr is not None else card.reset()
                    send_message(connection, atr)
                elif message[0] == POWER_OFF:
                    card.power_off()
                    atr = None
                elif message[0] == RESET or atr is None:
                    atr = card.reset()
            except PowerLost:
                return  # to the reader the card is gone


def serve_tcp(
    card: PoweredCard,
    host: str,
    port: int,
    *,
    on_ready: Callable[[str, int], None] = lambda host, port: None,
    connections: int | None = None,
) -> None:
    """Listens until interrupted, or until `connections` readers have come and gone. Port 0 takes a free
    one.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as fault:
        raise Unreachable(
            f"Cannot listen on {host}:{port}: {fault.strerror}", code="euicc.port_unusable"
        ) from fault
    with listener:
        on_ready(host, listener.getsockname()[1])
        while connections is None or connections > 0:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                _until_gone(card, connection)
            if connections is not None:
                connections -= 1


def serve_vpcd(
    card: PoweredCard, host: str, port: int = VPCD_PORT, *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Plugs the card into a vpcd that listens there, until vpcd closes the connection."""
    try:
        connection = socket.create_connection((host, port))
    except OSError as fault:
        raise Unreachable(
            f"No vpcd listens on {host}:{port}: {fault.strerror}", code="euicc.vpcd_unreachable"
        ) from fault
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        on_ready()
        _until_gone(card, connection)


def _until_gone(card: PoweredCard, connection: socket.socket) -> None:
    try:
        serve_connection(card, connection)
    except (ConnectionError, EOFError):
        pass  # the reader went away in the middle of a message: the card loses its power, as when pulled out
    finally:
        card.power_off()


def receive_message(read: Callable[[int], bytes]) -> bytes | None:
    """One message, or None when the other side has gone between two messages."""
    head = read(2)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    message = read(length) if len(head) == 2 else b""
    if len(head) != 2 or len(message) != length:
        raise EOFError
    return message


def send_message(connection: socket.socket, message: bytes) -> None:
    connection.sendall(len(message).to_bytes(2, "big") + message)
