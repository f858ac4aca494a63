"""A frozen set of devices by their ordinals, compact: what an order for a million devices carries.

Ordinals are grouped by their upper bits; a group is a sorted list of two octets each, or a bitmap where
that is smaller. Pure; imports nothing of keim.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

GROUP: Final = 1 << 16
_BITMAP_OCTETS: Final = GROUP // 8
_LIST_LIMIT: Final = _BITMAP_OCTETS // 2
"""More ordinals than this are smaller as a bitmap."""
_ZERO: Final = b"0"
_ONE: Final = b"1"
"""Of a group while it is gathered: one digit for each ordinal."""


def _encoded(digits: bytearray, count: int) -> bytes:
    """The length tells the form: only a bitmap has 8192 octets."""
    if count >= _LIST_LIMIT:
        return int(digits[::-1], 2).to_bytes(_BITMAP_OCTETS, "little")
    octets = bytearray()
    low = digits.find(_ONE)
    while low >= 0:
        octets += low.to_bytes(2, "big")
        low = digits.find(_ONE, low + 1)
    return bytes(octets)


class Gathering:
    """Groups out of sorted ordinals that come in lots: a group is given when it is complete."""

    def __init__(self) -> None:
        self._high = -1
        self._digits = bytearray()

    def add(self, lot: Sequence[int]) -> list[tuple[int, bytes, int]]:
        """(group, octets, how many) of those that this lot completes; a `range` costs next to nothing."""
        complete: list[tuple[int, bytes, int]] = []
        start = 0
        while start < len(lot):
            high = lot[start] >> 16
            stop = bisect_left(lot, (high + 1) << 16, start)
            if high != self._high:
                complete += self.rest()
                self._high, self._digits = high, bytearray(_ZERO * GROUP)
            self._mark(lot[start:stop])
            start = stop
        return complete

    def _mark(self, ordinals: Sequence[int]) -> None:
        """All of one group."""
        digits, base = self._digits, self._high << 16
        if isinstance(ordinals, range) and ordinals.step == 1:
            digits[ordinals.start - base : ordinals.stop - base] = _ONE * len(ordinals)
            return
        for ordinal in ordinals:
            digits[ordinal - base] = _ONE[0]

    def rest(self) -> list[tuple[int, bytes, int]]:
        digits, self._digits = self._digits, bytearray()
        high, self._high = self._high, -1
        count = digits.count(_ONE)
        return [(high, _encoded(digits, count), count)] if count else []


def groups_of(ordinals: Iterable[int]) -> list[tuple[int, bytes, int]]:
    """(group, octets, how many) of ordinals that come sorted."""
    gathering = Gathering()
    return gathering.add(list(ordinals)) + gathering.rest()


class Selection:
    """Read-only; `in` costs about a microsecond."""

    __slots__ = ("_groups", "count")

    def __init__(self, groups: Iterable[tuple[int, bytes]]) -> None:
        self._groups: dict[int, bytes | array[int]] = {}
        self.count = 0
        for high, octets in groups:
            if len(octets) == _BITMAP_OCTETS:
                self._groups[high] = octets
                self.count += int.from_bytes(octets, "big").bit_count()
            else:
                low = array("H", octets)
                low.byteswap()
                if low and low[0] != int.from_bytes(octets[:2], "big"):
                    low.byteswap()  # a machine that stores numbers as they are written
                self._groups[high] = low
                self.count += len(low)

    @classmethod
    def of(cls, ordinals: Iterable[int]) -> Selection:
        return cls((high, octets) for high, octets, _ in groups_of(sorted(set(ordinals))))

    def __contains__(self, ordinal: int) -> bool:
        group = self._groups.get(ordinal >> 16)
        if group is None:
            return False
        low = ordinal & 0xFFFF
        if isinstance(group, bytes):
            return bool(group[low >> 3] >> (low & 7) & 1)
        index = bisect_left(group, low)
        return index < len(group) and group[index] == low

    def __iter__(self) -> Iterator[int]:
        for high in sorted(self._groups):
            group = self._groups[high]
            if isinstance(group, bytes):
                for index, octet in enumerate(group):
                    for bit in range(8):
                        if octet >> bit & 1:
                            yield high << 16 | index << 3 | bit
            else:
                for low in group:
                    yield high << 16 | low

    @property
    def octets(self) -> int:
        return sum(len(g) if isinstance(g, bytes) else 2 * len(g) for g in self._groups.values())
