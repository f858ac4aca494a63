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
_ONE: Final = ord("1")


def encode_group(low: list[int]) -> bytes:
    """Sorted, distinct, below 65536. The length tells the form: only a bitmap has 8192 octets."""
    if len(low) < _LIST_LIMIT:
        return b"".join(value.to_bytes(2, "big") for value in low)
    digits = bytearray(b"0") * GROUP
    for value in low:
        digits[value] = _ONE
    digits.reverse()
    return int(digits, 2).to_bytes(_BITMAP_OCTETS, "little")


class Gathering:
    """Groups out of sorted ordinals that come in lots: a group is given when it is complete."""

    def __init__(self) -> None:
        self._high = -1
        self._low: list[int] = []

    def add(self, lot: Sequence[int]) -> list[tuple[int, bytes, int]]:
        """(group, octets, how many) of those that this lot completes."""
        complete: list[tuple[int, bytes, int]] = []
        start = 0
        while start < len(lot):
            high = lot[start] >> 16
            stop = bisect_left(lot, (high + 1) << 16, start)
            if high != self._high:
                complete += self.rest()
                self._high = high
            self._low += [ordinal & 0xFFFF for ordinal in lot[start:stop]]
            start = stop
        return complete

    def rest(self) -> list[tuple[int, bytes, int]]:
        low, self._low = self._low, []
        return [(self._high, encode_group(low), len(low))] if low else []


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
