"""What all connections of a listener share: who may come in, how long a stage may take, and the watch.

One look at all of them now and then replaces timers for each: nearly all requests come whole. Imports its
neighbour `answerer` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import nsmallest
from typing import Final, Protocol

from keim.io.answerer import Answerer

CONNECTIONS: Final = 4096
IDLE_TIMEOUT_S: Final = 60.0
CheckPeer = Callable[[bytes], bool]
"""Whether a client's certificate (DER) may come in; the chain has been verified already."""


class Bounded(Protocol):
    """A connection."""

    deadline: float

    @property
    def is_idle(self) -> bool:
        """Between two requests."""
        ...

    def end_of_time(self) -> bool:
        """The deadline is over; whether the client was slow, and not only silent between two requests."""
        ...


class Bounds:
    def __init__(
        self,
        answerer: Answerer,
        *,
        header_timeout_s: float,
        body_timeout_s: float,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        check_peer: CheckPeer | None = None,
        on_slow: Callable[[], None] = lambda: None,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.answerer = answerer
        self.header_timeout_s, self.body_timeout_s = header_timeout_s, body_timeout_s
        self.idle_timeout_s = idle_timeout_s
        self.check_peer = check_peer
        self._on_slow = on_slow
        self.on_broken = on_broken
        """What came was no request."""
        self._every_s = min(1.0, header_timeout_s / 4, body_timeout_s / 4)
        self._watched: set[Bounded] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, protocol: Bounded, loop: asyncio.AbstractEventLoop) -> None:
        self._watched.add(protocol)
        if self._timer is None:
            self._timer = loop.call_later(self._every_s, self._look, loop)

    def forget(self, protocol: Bounded) -> None:
        self._watched.discard(protocol)

    def make_room(self, count: int) -> None:
        """Closes so many of those that are between two requests, the longest silent first."""
        idle = [found for found in self._watched if found.is_idle]
        for protocol in nsmallest(count, idle, key=lambda found: found.deadline):
            protocol.end_of_time()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for protocol in [found for found in self._watched if found.deadline < now]:
            if protocol.end_of_time():
                self._on_slow()
        self._timer = loop.call_later(self._every_s, self._look, loop) if self._watched else None
