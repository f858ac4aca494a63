"""One UDP address for several processes: a socket for each, and letters between them.

The system gives each peer's address to one of the sockets. All are made before the processes are forked, so
that a worker that takes a dead one's place takes its socket too, and no peer changes hands. A datagram that
belongs to another worker (its connection id says so) is handed over whole; answers leave from that worker's
own socket, which has the same address. Imports keim.errors and keim.io.datagram only.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from keim.io.datagram import LARGEST, bound_socket

AT_ONCE: Final = 64

_Letter = tuple[bytes, tuple[str | int, ...]]


class Place(msgspec.Struct, frozen=True):
    """One worker's place among all."""

    number: int
    sockets: tuple[socket.socket, ...]
    to_workers: tuple[socket.socket, ...] = ()
    """Where each worker is handed what came to another."""
    for_workers: tuple[socket.socket, ...] = ()

    @property
    def workers(self) -> int:
        return len(self.sockets)

    @property
    def socket(self) -> socket.socket:
        return self.sockets[self.number]

    def hand_over(self, worker: int, datagram: bytes, address: Any) -> bool:
        """False where it is lost, as on any network: there is no such worker, or it is far behind."""
        if worker >= len(self.to_workers):
            return False
        try:
            self.to_workers[worker].send(msgspec.msgpack.encode((datagram, address)))
        except OSError:
            return False
        return True

    def listen(self, take: Callable[[bytes, Any], None]) -> None:
        """`take(datagram, address)` hears what others hand over to this worker."""
        if self.for_workers:
            letters = self.for_workers[self.number]
            asyncio.get_running_loop().add_reader(letters.fileno(), _read, letters, take)

    def end(self) -> None:
        if self.for_workers:
            asyncio.get_running_loop().remove_reader(self.for_workers[self.number].fileno())


def _read(letters: socket.socket, take: Callable[[bytes, Any], None]) -> None:
    for _ in range(AT_ONCE):
        try:
            letter = letters.recv(2 * LARGEST)
        except BlockingIOError:
            return
        take(*msgspec.msgpack.decode(letter, type=_Letter))


@contextmanager
def places(host: str, port: int, workers: int = 1) -> Iterator[tuple[Place, ...]]:
    """Of all workers, in the order of their numbers; closed at the end."""
    opened: list[socket.socket] = []
    try:
        for _ in range(workers):
            opened.append(bound_socket(host, port, is_shared=workers > 1))
            port = opened[0].getsockname()[1]
        sockets = tuple(opened)
        to_workers, for_workers = [], []
        for _ in range(workers if workers > 1 else 0):
            one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            opened += [one, other]
            one.setblocking(False)
            other.setblocking(False)
            to_workers.append(one)
            for_workers.append(other)
        yield tuple(
            Place(number, sockets, tuple(to_workers), tuple(for_workers)) for number in range(workers)
        )
    finally:
        for one in opened:
            one.close()
