"""Token buckets by key, in bounded memory: who calls too often is told to wait.

Time is an argument. Imports nothing of keim.
"""

from __future__ import annotations

from typing import Final

KEYS: Final = 100_000


class RateLimit:
    """`per_second` on average, `burst` at once. Without a rate everything is allowed.

    Of more keys than `keys` the longest silent is forgotten: it would be full again anyway.
    """

    __slots__ = ("_buckets", "_burst", "_keys", "_rate", "refused")

    def __init__(self, per_second: float, burst: float, *, keys: int = KEYS) -> None:
        self._rate = per_second
        self._burst = max(1.0, burst)
        self._keys = max(1, keys)
        self._buckets: dict[object, tuple[float, float]] = {}
        self.refused = 0

    def alike(self) -> RateLimit:
        """Another one with the same limits, for another kind of calls."""
        return RateLimit(self._rate, self._burst, keys=self._keys)

    def allows(self, key: object, now_s: float) -> bool:
        if self._rate <= 0:
            return True
        tokens, since = self._buckets.pop(key, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - since) * self._rate)
        is_allowed = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if is_allowed else tokens, now_s)
        if len(self._buckets) > self._keys:
            del self._buckets[next(iter(self._buckets))]
        if not is_allowed:
            self.refused += 1
        return is_allowed

    def __len__(self) -> int:
        return len(self._buckets)
