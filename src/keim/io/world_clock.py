"""The real clock: the implementation of a seam."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)
