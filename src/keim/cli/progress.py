"""Long work on stderr: count, rate and time left on a terminal; elsewhere a line now and then.

Time is asked of `clock`, so that tests need not wait.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from keim.cli.output import may_colour

TERMINAL_S: Final = 0.2
ELSEWHERE_S: Final = 10.0


class Progress:
    """`total` 0: it is not known how much there is. `tell(done, total)` instead of a line for people."""

    def __init__(
        self,
        what: str,
        total: int = 0,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[int, int], None] | None = None,
    ) -> None:
        self._what, self._total = what, total
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = may_colour(self._stream)
        self._clock = clock
        self._own_way = tell
        self._started = self._told = clock()
        self.done = 0

    def advance(self, count: int) -> None:
        self.done += count
        now = self._clock()
        if now - self._told >= (TERMINAL_S if self._is_terminal else ELSEWHERE_S):
            self._told = now
            self._tell(now)

    def _tell(self, now: float) -> None:
        if self._own_way is not None:
            self._own_way(self.done, self._total)
            return
        line = self.line(now - self._started)
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{line}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def line(self, seconds: float) -> str:
        rate = self.done / seconds if seconds > 0 else 0.0
        if not self._total:
            return f"{self._what}: {self.done:,} ({rate:,.0f}/s)"
        share = 100 * self.done / self._total
        left = _time((self._total - self.done) / rate) if rate else "?"
        return f"{self._what}: {self.done:,} of {self._total:,} ({share:.0f} %, {rate:,.0f}/s, {left} left)"

    def end(self) -> None:
        """Leaves the line to what comes next."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _time(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
