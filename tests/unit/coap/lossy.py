"""A link in virtual time between datagram endpoints: seeded loss, duplication, reordering. Nobody sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from typing import Any, Protocol


class Endpoint(Protocol):
    def receive(self, datagram: bytes, address: Any, now: float) -> list[Any]: ...
    def datagrams_to_send(self) -> list[tuple[bytes, Any]]: ...
    def next_deadline(self) -> float | None: ...
    def handle_timer(self, now: float) -> list[Any]: ...


class SeededEntropy:
    """Entropy that repeats: failures of a seed can be looked at."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(repr(seed))

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class Link:
    """Endpoints by address. `on_event(address, event, now)` reacts; its endpoint's output is sent."""

    def __init__(
        self,
        seed: int = 0,
        *,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        latency_s: float = 0.02,
    ) -> None:
        self.now = 1000.0
        self.endpoints: dict[Hashable, Endpoint] = {}
        self.events: list[tuple[Hashable, Any]] = []
        self.on_event: Callable[[Hashable, Any, float], None] = lambda *_: None
        self.drop: Callable[[bytes, Hashable, Hashable], bool] = lambda *_: False
        self.sent: list[tuple[Hashable, Hashable, bytes]] = []
        self.translate: dict[Hashable, Hashable] = {}
        """What a NAT makes of an address: inner -> outer."""
        self._random = random.Random(seed)
        self._loss, self._duplication, self._reordering = loss, duplication, reordering
        self._latency_s = latency_s
        self._flying: list[tuple[float, int, bytes, Hashable, Hashable]] = []
        self._count = 0

    def join(self, address: Hashable, endpoint: Endpoint) -> None:
        self.endpoints[address] = endpoint

    def flush(self) -> None:
        for address, endpoint in self.endpoints.items():
            for data, target in endpoint.datagrams_to_send():
                self.post(data, self.translate.get(address, address), target)

    def post(self, data: bytes, source: Hashable, target: Hashable) -> None:
        assert len(data) <= 1400
        self.sent.append((source, target, data))
        if self._random.random() < self._loss or self.drop(data, source, target):
            return
        copies = 2 if self._random.random() < self._duplication else 1
        for _ in range(copies):
            late = self._random.uniform(0, 1.5) if self._random.random() < self._reordering else 0.0
            self._count += 1
            heappush(self._flying, (self.now + self._latency_s + late, self._count, data, source, target))

    def _inner(self, address: Hashable) -> Hashable | None:
        for inner, outer in self.translate.items():
            if outer == address:
                return inner
        return None if address in self.translate else address

    def run(self, seconds: float = 600.0, until: Callable[[], bool] = lambda: False) -> None:
        """Runs until nothing flies and no timer is set, or the condition holds, or the time is over."""
        end = self.now + seconds
        self.flush()
        while not until():
            deadlines = [
                (deadline, address)
                for address, endpoint in self.endpoints.items()
                if (deadline := endpoint.next_deadline()) is not None
            ]
            next_timer = min(deadlines, key=lambda pair: pair[0], default=None)
            if self._flying and (next_timer is None or self._flying[0][0] <= next_timer[0]):
                moment, _, data, source, target = heappop(self._flying)
                self.now = max(self.now, moment)
                inner = self._inner(target)
                if inner is not None and inner in self.endpoints:
                    self._react(inner, self.endpoints[inner].receive(data, source, self.now))
            elif next_timer is not None and next_timer[0] <= end:
                self.now = max(self.now, next_timer[0])
                self._react(next_timer[1], self.endpoints[next_timer[1]].handle_timer(self.now))
            else:
                break
            self.flush()

    def _react(self, address: Hashable, events: list[Any]) -> None:
        for event in events:
            self.events.append((address, event))
            self.on_event(address, event, self.now)

    def seen(self, kind: type, address: Hashable | None = None) -> list[Any]:
        return [
            event
            for place, event in self.events
            if isinstance(event, kind) and (address is None or place == address)
        ]
