"""A tenant's log as people and programs follow it: events by their numbers, filtered by kind, device and tag.

Each event is the JSON that its leaf carries. Imports keim.audit.leaf, keim.io.store and its neighbour
`schema` only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from keim.audit.leaf import Leaf
from keim.io.eim_store.schema import OF_LOG
from keim.io.store.engine import Engine, moment
from keim.io.store.leaf_shelf import whole

_LOT: Final = 500
"""Leaves that are looked at in one step; a filter lets few of them through."""
LONGEST_SCAN: Final = 20 * _LOT


class Told(msgspec.Struct, frozen=True):
    """One event of a log."""

    id: int
    at: datetime
    kind: str
    eid: str | None
    actor: str
    operation: str | None
    """The reference of the order that it is about."""
    detail: bytes


class EventFilter(msgspec.Struct, frozen=True):
    """Empty members let everything through."""

    kinds: tuple[str, ...] = ()
    eid: str = ""
    tags: tuple[str, ...] = ()
    """Events of devices that have all of these now."""


class Feed:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def size(self, log: str) -> int:
        rows = await self._engine.fetch("SELECT size FROM eim_logs WHERE log = ?", log)
        return int(rows[0][0]) if rows else 0

    async def after(
        self, log: str, after: int, wanted: EventFilter, *, limit: int, scan: int = LONGEST_SCAN
    ) -> tuple[list[Told], int]:
        """At most `limit` events behind `after`, and up to which number was looked at."""
        found: list[Told] = []
        position, looked = after, 0
        while len(found) < limit and looked < scan:
            rows = await self._rows(log, position, wanted)
            fitting = await self._tagged(rows, wanted)
            for row in fitting[: limit - len(found)]:
                found.append(_told(row, whole(self._engine.shelf, log, row[0], row[4])))
            if len(found) >= limit:
                return await self._named(found), found[-1].id
            if not rows:
                break
            position = rows[-1][0]
            looked += len(rows)
            if len(rows) < _LOT:
                break
        return await self._named(found), position

    async def _rows(self, log: str, after: int, wanted: EventFilter) -> list[tuple[Any, ...]]:
        conditions, parameters = [OF_LOG if wanted.eid else "log = ?", "id > ?"], [log, after]
        if wanted.eid:
            conditions.append("eid = ?")
            parameters.append(wanted.eid)
        if wanted.kinds:
            conditions.append(f"kind IN ({', '.join('?' * len(wanted.kinds))})")
            parameters += wanted.kinds
        where = " AND ".join(conditions)
        return await self._engine.fetch(
            f"SELECT id, at, kind, eid, leaf FROM eim_events WHERE {where} ORDER BY id LIMIT {_LOT:d}",
            *parameters,
        )

    async def _tagged(
        self, rows: Sequence[tuple[Any, ...]], wanted: EventFilter
    ) -> Sequence[tuple[Any, ...]]:
        if not wanted.tags:
            return rows
        eids = {row[3] for row in rows if row[3] is not None}
        having = await self._having(sorted(eids), wanted.tags)
        return [row for row in rows if row[3] in having]

    async def _having(self, eids: Sequence[str], tags: Collection[str]) -> set[str]:
        if not eids:
            return set()
        eid_marks, tag_marks = ", ".join("?" * len(eids)), ", ".join("?" * len(tags))
        rows = await self._engine.fetch(
            "SELECT d.eid FROM eim_devices d JOIN eim_tags t ON t.ordinal = d.ordinal"
            f" WHERE d.eid IN ({eid_marks}) AND t.tag IN ({tag_marks}) GROUP BY d.eid HAVING COUNT(*) = ?",
            *eids,
            *tags,
            len(tags),
        )
        return {row[0] for row in rows}

    async def _named(self, found: list[Told]) -> list[Told]:
        """With the references of the orders that events name by number."""
        numbers: dict[int, int] = {}
        for told in found:
            if told.operation is None:
                order = _ORDER.decode(told.detail).order
                if order is not None and order > 0:
                    numbers[told.id] = order
        if not numbers:
            return found
        wanted = sorted(set(numbers.values()))
        rows = await self._engine.fetch(
            f"SELECT id, reference FROM eim_orders WHERE id IN ({', '.join('?' * len(wanted))})", *wanted
        )
        references = dict(rows)
        return [
            msgspec.structs.replace(told, operation=references.get(numbers[told.id]))
            if told.id in numbers
            else told
            for told in found
        ]


class _Order(msgspec.Struct, frozen=True):
    order: int | None = None


_ORDER: Final = msgspec.json.Decoder(_Order)


def _told(row: tuple[Any, ...], octets: bytes) -> Told:
    id_, at, kind, eid, _ = row
    leaf = Leaf.decode(octets)
    return Told(id_, moment(at), kind, eid, leaf.actor, leaf.operation, leaf.detail or b"{}")
