"""What comes in one moment is handled together, each step for all of it before the next step begins.

A step that is repeated finds its code and tables where the processor looks first: a lot costs a third less
than the same messages one by one. Imports nothing of keim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 64
"""A lot of as many goes at once: waiting for more would save nothing."""
MOMENT_S: Final = 0.001
"""How long a lot waits for the next one to come."""
AT_ONCE: Final = 2
"""Lots under way at one time; what comes meanwhile becomes a larger lot."""


class Lots(Generic[T]):
    """A lot waits for company while it keeps coming, and for as much as came last time, at most `gather_s`.

    With `gather_s` zero it waits for the turn of the loop. `handle` never raises: whoever waits for one of a
    lot is told by it.
    """

    def __init__(self, handle: Callable[[list[T]], Awaitable[None]], *, gather_s: float = 0.0) -> None:
        self._handle = handle
        self._gather_s = gather_s
        self._waiting: list[T] = []
        self._is_gathering = False
        self._last = 1
        """How many came last time: whoever got an answer then may be about to ask again."""
        self._under_way: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether lots are under way."""
        return bool(self._under_way)

    def put(self, one: T) -> None:
        self._waiting.append(one)
        if self._is_gathering:
            if len(self._waiting) == MOST:
                self._go()
        elif len(self._under_way) < AT_ONCE:
            self._gather()

    def _gather(self) -> None:
        self._is_gathering = True
        loop = asyncio.get_running_loop()
        if self._gather_s and len(self._waiting) < MOST:
            self._look_later(loop, loop.time() + self._gather_s)
        else:
            loop.call_soon(self._go)

    def _look_later(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        loop.call_later(MOMENT_S, self._look, loop, len(self._waiting), until)

    def _look(self, loop: asyncio.AbstractEventLoop, before: int, until: float) -> None:
        if len(self._waiting) == before >= self._last or loop.time() >= until:
            self._go()
        else:
            self._look_later(loop, until)

    def _go(self) -> None:
        self._is_gathering = False
        lot, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if lot:  # else it was full, and went before its time
            self._last = len(lot)
            handled = asyncio.ensure_future(self._handle(lot))
            self._under_way.add(handled)
            handled.add_done_callback(self._done)

    def _done(self, handled: asyncio.Future[None]) -> None:
        self._under_way.discard(handled)
        if self._waiting and not self._is_gathering:
            self._gather()
