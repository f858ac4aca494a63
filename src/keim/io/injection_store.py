"""When an eIM calls which device: a row for each device that can be reached, in the eIM's own database.

What there is to send stands in the eIM's tables; this is only the timetable, which several processes share.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from keim.io.store.engine import Engine, Statement, milliseconds

MIGRATIONS: Final = (
    """
    CREATE TABLE eim_injections (
        eid TEXT PRIMARY KEY, due_at BIGINT NOT NULL, failures INTEGER NOT NULL, trouble TEXT NOT NULL)
    {clustered};
    CREATE INDEX eim_injections_due ON eim_injections (due_at)
    """,
)
_NEW_ORDERS: Final = (
    "SELECT DISTINCT i.eid, i.due_at, i.failures FROM eim_orders o JOIN eim_injections i ON i.eid = o.eid"
    " WHERE o.id > ? AND o.state = 'active' AND i.failures = 0"
)


class Visit(NamedTuple):
    """A device that it is time to look at."""

    eid: str
    due_at: int
    failures: int
    """In a row."""


class Timetable:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._last_order = 0

    async def prepare(self) -> None:
        await self._engine.migrate("eim_injection", MIGRATIONS)
        self._last_order = await self._newest_order()

    async def _newest_order(self) -> int:
        rows = await self._engine.fetch("SELECT value FROM eim_sequences WHERE name = 'order'")
        return int(rows[0][0]) if rows else 0

    async def enter(self, eid: str, now: datetime) -> None:
        """The device is called from now on."""
        await self._engine.commit(
            [
                Statement(
                    "INSERT INTO eim_injections (eid, due_at, failures, trouble) VALUES (?, ?, 0, '')"
                    " ON CONFLICT (eid) DO UPDATE SET due_at = excluded.due_at, failures = 0",
                    (eid, milliseconds(now)),
                )
            ]
        )

    async def strike(self, eid: str) -> None:
        await self._engine.commit([Statement("DELETE FROM eim_injections WHERE eid = ?", (eid,))])

    async def due(self, now: datetime, limit: int) -> list[Visit]:
        """Those whose time has come, and those that something was ordered for since the last look."""
        rows = await self._engine.fetch(
            "SELECT eid, due_at, failures FROM eim_injections WHERE due_at <= ? ORDER BY due_at"
            f" LIMIT {limit:d}",
            milliseconds(now),
        )
        newest = await self._newest_order()
        if newest > self._last_order:
            rows = rows + await self._engine.fetch(_NEW_ORDERS, self._last_order)
            self._last_order = newest
        return list({row[0]: Visit(*row) for row in rows}.values())[:limit]

    async def claim(self, visit: Visit, until: datetime) -> None:
        """`Conflict` if another process was faster. A process that dies gives the device back at `until`."""
        await self._engine.commit(
            [
                Statement(
                    "UPDATE eim_injections SET due_at = ? WHERE eid = ? AND due_at = ?",
                    (milliseconds(until), visit.eid, visit.due_at),
                    1,
                )
            ]
        )

    async def settle(self, eid: str, next_at: datetime, *, failures: int = 0, trouble: str = "") -> None:
        await self._engine.commit(
            [
                Statement(
                    "UPDATE eim_injections SET due_at = ?, failures = ?, trouble = ? WHERE eid = ?",
                    (milliseconds(next_at), failures, trouble, eid),
                )
            ]
        )

    async def trouble(self) -> int:
        """How many devices could not be reached the last time."""
        rows = await self._engine.fetch("SELECT COUNT(*) FROM eim_injections WHERE failures > 0")
        return int(rows[0][0])

    async def last_trouble(self, eid: str) -> str:
        rows = await self._engine.fetch("SELECT trouble FROM eim_injections WHERE eid = ?", eid)
        return str(rows[0][0]) if rows else ""
