"""The asyncio coat of datagram endpoints: one UDP socket for all peers, and one timer.

The endpoints know neither sockets nor clocks; this file knows nothing of what their datagrams mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from keim.errors import Unreachable

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""What is asked of the kernel: with its usual 200 KiB a thousand devices at once lose datagrams."""
AT_ONCE: Final = 64
"""Datagrams read before others get their turn on the loop."""
LARGEST: Final = 16 * 1024

log = logging.getLogger("keim.datagram")


class DatagramEndpoint(Protocol):
    def receive(self, datagram: bytes, address: Any, now: float) -> Sequence[Any]: ...

    def datagrams_to_send(self) -> list[tuple[bytes, Any]]: ...

    def next_deadline(self) -> float | None: ...

    def handle_timer(self, now: float) -> Sequence[Any]: ...


class SteadyClock:
    """Seconds since 1970 that never run backwards while the process lives."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() + self._offset


def bound_socket(
    host: str, port: int, *, is_shared: bool = False, receive_buffer: int = RECEIVE_BUFFER
) -> socket.socket:
    """`is_shared`: several sockets on one address, each with the peers that the system gives it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Unreachable(
            f"{host}:{port}: {error.strerror or error}", code="serve.cannot_listen", step="bind"
        ) from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    granted = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if granted < receive_buffer:
        log.info(
            "the kernel grants %d octets of receive buffer, not %d (net.core.rmem_max)",
            granted,
            receive_buffer,
        )
    return bound


class DatagramSocket:
    """Opens one socket, drives one endpoint; `on_event(event, now)` hears what happens."""

    def __init__(
        self,
        endpoint: DatagramEndpoint,
        on_event: Callable[[Any, float], None],
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._on_event = on_event
        self.clock = clock or SteadyClock()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self.datagrams_in = self.datagrams_out = self.octets_in = self.octets_out = 0
        self.unsent = 0

    def open(self, host: str, port: int = 0) -> tuple[str, int]:
        """Binds and listens; an explicit host, else answers may leave from an address that was not asked."""
        return self.use(bound_socket(host, port))

    def use(self, bound: socket.socket) -> tuple[str, int]:
        """Listens at a socket that is bound already; `close` closes it."""
        self._socket = bound
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound.fileno(), self._readable)
        name = bound.getsockname()
        return name[0], name[1]

    def hand_in(self, datagram: bytes, address: Any) -> None:
        """A datagram that another process received for us; answers leave from our socket."""
        now = self.clock()
        for event in self._endpoint.receive(datagram, address, now):
            self._on_event(event, now)
        self.flush()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        bound = self._socket
        if bound is None:
            return
        now = self.clock()
        for _ in range(AT_ONCE):
            try:
                datagram, address = bound.recvfrom(LARGEST)
            except BlockingIOError:
                break
            except OSError as error:  # an ICMP answer to what we sent: the peer's trouble, not the socket's
                log.debug("receiving: %s", error)
                continue
            self.datagrams_in += 1
            self.octets_in += len(datagram)
            for event in self._endpoint.receive(datagram, address, now):
                self._on_event(event, now)
            if self._socket is None:
                return
        self.flush()

    def flush(self) -> None:
        """Sends what the endpoint wants sent and sets its timer; call it after verbs used from outside."""
        bound = self._socket
        if bound is None:
            return
        for datagram, address in self._endpoint.datagrams_to_send():
            try:
                bound.sendto(datagram, address)
            except OSError as error:  # full buffers or ICMP: like a loss, which every peer must bear
                self.unsent += 1
                log.debug("sending to %s: %s", address, error)
                continue
            self.datagrams_out += 1
            self.octets_out += len(datagram)
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = self._endpoint.next_deadline()
        if deadline == self._timer_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = deadline
        if deadline is not None:
            self._timer = self._loop.call_later(max(0.0, deadline - self.clock()), self._due)

    def _due(self) -> None:
        self._timer = self._timer_at = None
        now = self.clock()
        for event in self._endpoint.handle_timer(now):
            self._on_event(event, now)
        self.flush()

    def __enter__(self) -> DatagramSocket:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that has been closed meanwhile
            self.close()
