"""One transaction for the changes of many: which go together, which one after the other, and who has lost.

Pure; both engines use it. Imports keim.errors and its neighbour `engine` only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from keim.errors import StoreFailed
from keim.io.store.engine import BATCH, Change, Conflict, Settle, Write


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


class Kind:
    """All changes of one kind in a batch."""

    __slots__ = ("owners", "parameters", "rank", "write")

    def __init__(self, write: Write) -> None:
        self.write = write
        self.rank = write.rank
        self.parameters: list[tuple[Any, ...]] = []
        self.owners: list[Change] = []

    def losers(self, found: set[Any]) -> list[Change]:
        """Whose row was not as expected, of those whose keys are not among the found."""
        key = self.write.key
        assert key is not None  # only what can be amiss is asked
        return [
            owner
            for owner, values in zip(self.owners, self.parameters, strict=True)
            if values[key] not in found
        ]


class Batch:
    """Changes of one transaction, in the order in which they came."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self.changes: list[Change] = []
        self.plain: list[Change] = []
        """Those with a statement that is not made for many at once."""
        self._kinds: dict[Write, Kind] = {}
        self._claimed: set[Any] = set()
        """Keys of the rows that they change: two changes with a common key never share a statement."""
        for change in changes:
            self.add(change)

    def add(self, change: Change) -> bool:
        """False: its row is changed in this batch already."""
        claims = []
        is_plain = False
        for statement in change.statements:
            write = statement.sql
            if isinstance(write, str):
                is_plain = True
            elif write.key is not None and write.is_exclusive:
                claims.append(statement.parameters[write.key])
        if not self._claimed.isdisjoint(claims):
            return False
        self._claimed.update(claims)
        self.changes.append(change)
        if is_plain:
            self.plain.append(change)
        else:
            self._sort(change)
        return True

    def _sort(self, change: Change) -> None:
        kinds = self._kinds
        for statement in change.statements:
            write = statement.sql
            assert isinstance(write, Write)  # it is not plain
            kind = kinds.get(write)
            if kind is None:
                kind = kinds[write] = Kind(write)
            kind.parameters.append(statement.parameters)
            kind.owners.append(change)

    @property
    def kinds(self) -> list[Kind]:
        """Of all that are not plain, in the order in which they are made."""
        return sorted(self._kinds.values(), key=_RANK)


def take(queue: deque[Change]) -> Batch:
    """The next batch; whose row is changed in it already waits for the one after, in its old place."""
    batch = Batch()
    later: list[Change] = []
    while queue and len(batch.changes) < BATCH:
        change = queue.popleft()
        if not batch.add(change):
            later.append(change)
    queue.extendleft(reversed(later))
    return batch


_RANK: Final = attrgetter("rank")
LOST: Final = "a row was not as it had been"


def lost() -> Conflict:
    return Conflict(LOST)


def overloaded() -> StoreFailed:
    return StoreFailed("too many changes are waiting", code="store.overloaded")
