"""One transaction for the changes of many: which go together, which one after the other, and who has lost.

Pure; both engines use it. Imports keim.errors and its neighbour `engine` only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from keim.errors import StoreFailed
from keim.io.store.engine import BATCH, Change, Conflict, Settle, Write


class Item:
    """A change that waits, and who is told its outcome."""

    __slots__ = ("claims", "entries", "is_plain", "settle", "statements")

    def __init__(self, change: Change) -> None:
        self.statements, self.entries, self.settle = change.statements, change.entries, change.settle
        self.claims: list[Any] = []
        """Keys of the rows that it changes: two items with a common key never share a statement."""
        self.is_plain = False
        """It has a statement that is not made for many at once."""
        for statement in self.statements:
            write = statement.sql
            if isinstance(write, str):
                self.is_plain = True
            elif write.key is not None and write.is_exclusive:
                self.claims.append(statement.parameters[write.key])


def settling(done: asyncio.Future[None]) -> Settle:
    """For one who awaits the outcome."""

    def settle(outcome: Exception | None) -> None:
        if done.done():
            return  # whoever waited has gone; the change stands all the same
        if outcome is None:
            done.set_result(None)
        else:
            done.set_exception(outcome)

    return settle


def take(queue: deque[Item]) -> list[Item]:
    """The next batch; whose row is changed in it already waits for the one after, in its old place."""
    taken: list[Item] = []
    later: list[Item] = []
    claimed: set[Any] = set()
    while queue and len(taken) < BATCH:
        item = queue.popleft()
        if claimed.isdisjoint(item.claims):
            claimed.update(item.claims)
            taken.append(item)
        else:
            later.append(item)
    queue.extendleft(reversed(later))
    return taken


class Kind:
    """All changes of one kind in a batch."""

    __slots__ = ("owners", "parameters", "write")

    def __init__(self, write: Write) -> None:
        self.write = write
        self.parameters: list[tuple[Any, ...]] = []
        self.owners: list[Item] = []

    def losers(self, found: set[Any]) -> list[Item]:
        """Whose row was not as expected, of those whose keys are not among the found."""
        key = self.write.key
        assert key is not None  # only what can be amiss is asked
        return [
            owner
            for owner, values in zip(self.owners, self.parameters, strict=True)
            if values[key] not in found
        ]


def by_kind(items: Sequence[Item]) -> list[Kind]:
    """Of items that are not plain."""
    kinds: dict[Write, Kind] = {}
    for item in items:
        for statement in item.statements:
            write = statement.sql
            assert isinstance(write, Write)  # `is_plain` tells
            kind = kinds.get(write)
            if kind is None:
                kind = kinds[write] = Kind(write)
            kind.parameters.append(statement.parameters)
            kind.owners.append(item)
    return sorted(kinds.values(), key=_rank)


def _rank(kind: Kind) -> int:
    return kind.write.rank


LOST: Final = "a row was not as it had been"


def lost() -> Conflict:
    return Conflict(LOST)


def overloaded() -> StoreFailed:
    return StoreFailed("too many changes are waiting", code="store.overloaded")
