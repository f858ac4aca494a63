"""What a simulated modem opens for its card: BIP channels that are real sockets through the bearer."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Final

from keim.sim.radio import LOOPBACK, Bearer, Radio
from keim.sim.terminal import Dial, Stream
from keim.wire import bip, dns

PATIENCE_S: Final = 10.0
"""How long a modem waits for data before it lets the card's own timers run."""
CHUNK: Final = 16_384


class SocketStream:
    """One channel."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._has_ended = False

    def send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError:
            self._has_ended = True

    def receive(self, *, waits: bool) -> bytes:
        if self._has_ended:
            return b""
        ready, _, _ = select.select([self._socket], [], [], PATIENCE_S if waits else 0)
        if not ready:
            return b""
        octets = b""
        with contextlib.suppress(OSError):
            octets = self._socket.recv(CHUNK)
        self._has_ended = not octets
        return octets

    def close(self) -> None:
        self._socket.close()


def dial_over(radio: Radio, bearer: Bearer) -> Dial:
    """Datagrams go to the name server; streams to the server whose address the card has learned there."""

    def dial(protocol: int, address: bytes, port: int) -> Stream | None:
        is_datagram = protocol == bip.UDP
        if is_datagram and (address, port) != (radio.name_server, dns.PORT):
            return None
        name = None if is_datagram else radio.name_of(address)
        if not is_datagram and name is None:
            return None
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM)
        try:
            opened.settimeout(PATIENCE_S)
            opened.connect((LOOPBACK, radio.name_server_port if name is None else bearer.port(name)))
        except OSError:
            opened.close()
            return None
        return SocketStream(opened)

    return dial
