"""Deadlines as a heap; nothing here knows what time it is. Pure; imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

Action = Callable[[float], None]


class Timer:
    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Action) -> None:
        self.deadline = deadline
        self.action: Action | None = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._compact_at = 1024

    def at(self, deadline: float, action: Action) -> Timer:
        timer = Timer(deadline, action)
        self._count += 1
        heappush(self._heap, (deadline, self._count, timer))
        if len(self._heap) > self._compact_at:
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapify(self._heap)
            self._compact_at = max(1024, 2 * len(self._heap))
        return timer

    def next_deadline(self) -> float | None:
        heap = self._heap
        while heap and heap[0][2].action is None:
            heappop(heap)
        return heap[0][0] if heap else None

    def run(self, now: float) -> None:
        """Runs what is due; what an action sets up for a moment already past runs as well."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heappop(heap)[2]
            action, timer.action = timer.action, None
            if action is not None:
                action(now)
            heap = self._heap
