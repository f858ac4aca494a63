"""PUBACKs in the order in which messages came (MQTT 4.6), each when its message has been dealt with.

Imports keim.io.mqtt only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from keim.io.mqtt import Delivery


class Due:
    __slots__ = ("delivery", "is_done")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery, self.is_done = delivery, False


class Pubacks:
    def __init__(self, acknowledge: Callable[[Delivery], None]) -> None:
        self._acknowledge = acknowledge
        self._due: deque[Due] = deque()

    def add(self, delivery: Delivery) -> Due:
        due = Due(delivery)
        self._due.append(due)
        return due

    def finish(self, due: Due) -> None:
        """Acknowledges the longest series of finished messages."""
        due.is_done = True
        while self._due and self._due[0].is_done:
            self._acknowledge(self._due.popleft().delivery)
