"""Checkpoints of the logs in the eIM's database, outside of any transaction of a device.

With each, the roots of tiles that became full are written down, so that a proof reads a few hundred hashes,
not the whole log. Imports keim.audit, keim.io.store and its neighbour `log` only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from keim.audit.checkpoint import Checkpoint
from keim.audit.note import NoteSigner
from keim.audit.tiles import TILE_BITS, TILE_WIDTH
from keim.audit.tree import Edge, root_of
from keim.io.eim_store.log import Published, TenantLog
from keim.io.store.engine import Conflict, Engine, Statement, milliseconds

MIGRATIONS: Final = (
    """
    CREATE TABLE audit_tiles (
        log TEXT NOT NULL, level INTEGER NOT NULL, id INTEGER NOT NULL, hash {octets} NOT NULL,
        PRIMARY KEY (log, level, id)) {clustered}
    """,
)
"""`hash` is the root of the full tile number `id` of the level below."""
CHECKPOINT_LEAVES: Final = 1000
CHECKPOINT_INTERVAL: Final = timedelta(minutes=1)
_NEVER: Final = 1 << 62
"""No checkpoint is as young as this."""
_LOT: Final = 16
"""Tiles whose roots are made at once."""
_HOLD: Final = "UPDATE eim_logs SET size = size WHERE log = ?"
_NOTE: Final = (
    "INSERT INTO eim_checkpoints (log, size, at, note)"
    " SELECT l.log, CAST(? AS BIGINT), CAST(? AS BIGINT), COALESCE(?, l.edge) FROM eim_logs l"
    " WHERE l.log = ? AND NOT EXISTS (SELECT 1 FROM eim_checkpoints c"
    " WHERE c.log = l.log AND (c.size >= ? OR (c.size > ? AND c.at > ?)))"
)
"""Nothing, where another worker was faster; COALESCE only tells the type of the parameter."""
_TILE: Final = "INSERT INTO audit_tiles (log, level, id, hash) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_DUE: Final = (
    "SELECT l.log FROM eim_logs l WHERE l.size > 0 AND NOT EXISTS (SELECT 1 FROM eim_checkpoints c"
    " WHERE c.log = l.log AND (c.size = l.size OR (c.size > l.size - ? AND c.at > ?))) ORDER BY l.log"
)


class Publisher:
    """Signs for all logs: each minute or each thousand leaves, whoever of the workers comes first."""

    def __init__(
        self, engine: Engine, signer_of: Callable[[str], NoteSigner], now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._signer_of = signer_of
        self._now = now

    async def prepare(self) -> None:
        await self._engine.migrate("audit", MIGRATIONS)

    async def run(self) -> int:
        """Of the logs that are due; how many checkpoints."""
        oldest = milliseconds(self._now() - CHECKPOINT_INTERVAL)
        rows = await self._engine.fetch(_DUE, CHECKPOINT_LEAVES, oldest)
        return sum([await self.publish(row[0], oldest) is not None for row in rows])

    async def publish(self, log: str, oldest: int = _NEVER) -> Published | None:
        """Of the log as it is now; None where there is one already, or one younger than `oldest`."""
        rows = await self._engine.fetch("SELECT edge FROM eim_logs WHERE log = ?", log)
        edge = Edge.from_octets(bytes(rows[0][0])) if rows else Edge()
        if not edge.size:
            return None
        await self._grow_tiles(log, edge.size)
        signer = self._signer_of(log)
        point = Checkpoint.of(signer.key.name, edge)
        note = point.signed(signer)
        at, size = milliseconds(self._now()), point.size
        insert = (size, at, note, log, size, size - CHECKPOINT_LEAVES, oldest)
        try:
            await self._engine.commit([Statement(_HOLD, (log,), 1), Statement(_NOTE, insert, 1)])
        except Conflict:
            return None
        return Published(point, note)

    async def _grow_tiles(self, log: str, size: int) -> None:
        """The roots of tiles that became full since the last time, level by level."""
        level, below = 1, size
        while below >> TILE_BITS:
            await self._grow_level(log, level, below >> TILE_BITS)
            level, below = level + 1, below >> TILE_BITS

    async def _grow_level(self, log: str, level: int, full: int) -> None:
        rows = await self._engine.fetch(
            "SELECT MAX(id) FROM audit_tiles WHERE log = ? AND level = ?", log, level
        )
        done = 0 if rows[0][0] is None else int(rows[0][0]) + 1
        reader = TenantLog(self._engine, log, self._signer_of(log).key)
        while done < full:
            stop = min(done + _LOT, full)
            hashes = await reader.hashes(level - 1, done * TILE_WIDTH, stop * TILE_WIDTH)
            await self._engine.commit(
                [
                    Statement(_TILE, (log, level, number, root_of(hashes[at : at + TILE_WIDTH])))
                    for number, at in zip(range(done, stop), range(0, len(hashes), TILE_WIDTH), strict=True)
                ]
            )
            done = stop
