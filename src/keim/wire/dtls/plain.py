"""Datagrams without protection, in the shape of the layers that protect: the address is the peer. Pure."""

from __future__ import annotations

from typing import Final

from keim.wire.dtls.events import Address, Data, DatagramEvent, Down

LARGEST: Final = 1 << 14


class PlainDatagrams:
    """For a private bearer that protects by itself, and for tests. Nobody is authenticated."""

    def __init__(self) -> None:
        self._outbox: list[tuple[bytes, Address]] = []

    def receive(self, datagram: bytes, address: Address, now: float) -> list[DatagramEvent]:
        return [Data(address, datagram)]

    def connect(self, address: Address, now: float, target: object) -> Address:
        return address

    def is_up(self, association: Address) -> bool:
        return True

    def send(self, association: Address, data: bytes, now: float) -> None:
        self._outbox.append((data, association))

    def room(self, association: Address) -> int:
        return LARGEST

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_deadline(self) -> float | None:
        return None

    def handle_timer(self, now: float) -> list[DatagramEvent]:
        return []

    def close(self, association: Address, now: float) -> list[DatagramEvent]:
        return [Down(association, "closed")]
