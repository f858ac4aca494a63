"""What a client remembers of a resource that it observes (RFC 7641). Pure; imports nothing."""

from __future__ import annotations

from typing import Final

_HALF: Final = 1 << 23
_STALE_S: Final = 128.0


class Observed:
    """One observation, and the newest notification of it."""

    __slots__ = ("at", "number", "path")

    def __init__(self, path: tuple[str, ...], number: int, now: float) -> None:
        self.path, self.number, self.at = path, number, now

    def is_newer(self, number: int, now: float) -> bool:
        """Notifications may overtake one another (§3.4); the newest is noted."""
        before = self.number
        is_newer = (
            (before < number and number - before < _HALF)
            or (before > number and before - number > _HALF)
            or now > self.at + _STALE_S
        )
        if is_newer:
            self.number, self.at = number, now
        return is_newer
