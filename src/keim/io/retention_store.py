"""What leaves an eIM's database when it has grown old: bodies of leaves, octets of receipts, operations.

Each step is small and may be repeated. A body leaves after its bundle is durable on the shelf; a receipt
keeps the key by which repetitions are known. Imports keim.audit, keim.eim and keim.io.store only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from keim.audit.tiles import TILE_WIDTH
from keim.audit.tree import leaf_hash
from keim.eim.rows import Operation, OrderState, State
from keim.errors import StoreFailed
from keim.io.store.engine import Engine, Statement, milliseconds
from keim.io.store.leaf_shelf import LeafShelf, whole

MIGRATIONS: Final = ("CREATE TABLE eim_archived (log TEXT PRIMARY KEY, size INTEGER NOT NULL)",)
"""How many leaves of a log have left, from its beginning."""
ENDED: Final = frozenset(
    {State.SUCCEEDED, State.FAILED, State.ROLLED_BACK, State.CANCELLED, State.EXPIRED, State.SUPERSEDED}
)
_LOT: Final = 500
_OPERATION: Final = msgspec.json.Decoder(Operation).decode
_RECEIPTS: Final = (
    "SELECT eid, sequence_number, digest, at, LENGTH(octets) FROM eim_receipts"
    " WHERE (eid, sequence_number, digest) > (?, ?, ?) ORDER BY eid, sequence_number, digest"
    f" LIMIT {_LOT:d}"
)
_OPERATIONS: Final = (
    "SELECT p.eid, p.order_id, p.state, p.row, o.state, o.eid FROM eim_operations p"
    " LEFT JOIN eim_orders o ON o.id = p.order_id WHERE (p.eid, p.order_id) > (?, ?)"
    f" ORDER BY p.eid, p.order_id LIMIT {_LOT:d}"
)
_DROP: Final = "DELETE FROM eim_operations WHERE eid = ? AND order_id = ? AND state = ?"
_DROP_ORDER: Final = "DELETE FROM eim_orders WHERE id = ? AND eid = ?"


class ReceiptKey(NamedTuple):
    eid: str
    sequence_number: int
    digest: bytes


class RetentionStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def prepare(self) -> None:
        await self._engine.migrate("eim_retention", MIGRATIONS)

    async def logs(self) -> list[str]:
        return [row[0] for row in await self._engine.fetch("SELECT log FROM eim_logs ORDER BY log")]

    async def archived(self, log: str) -> int:
        rows = await self._engine.fetch("SELECT size FROM eim_archived WHERE log = ?", log)
        return int(rows[0][0]) if rows else 0

    async def archive_bundle(self, log: str, first: int, before: datetime, shelf: LeafShelf) -> bool:
        """The bundle that begins at leaf `first`, if all of it is older than `before`."""
        rows = await self._engine.fetch(
            "SELECT leaf, hash, at FROM eim_events WHERE log = ? AND id >= ? AND id < ? ORDER BY id",
            log,
            first,
            first + TILE_WIDTH,
        )
        if len(rows) < TILE_WIDTH or any(at >= milliseconds(before) for _, _, at in rows):
            return False
        leaves = []
        for number, (body, kept, _) in enumerate(rows, first):
            leaf = whole(shelf, log, number, body)  # another process may have moved it just now
            if leaf_hash(leaf) != bytes(kept):
                raise StoreFailed(
                    f"leaf {number} of {log} is not as it was logged", code="store.leaf_damaged"
                )
            leaves.append(leaf)
        shelf.put(log, first // TILE_WIDTH, leaves)
        await self._engine.commit(
            [
                Statement(
                    "UPDATE eim_events SET leaf = ? WHERE log = ? AND id >= ? AND id < ?",
                    (b"", log, first, first + TILE_WIDTH),
                    TILE_WIDTH,
                ),
                Statement(
                    "INSERT INTO eim_archived (log, size) VALUES (?, ?)"
                    " ON CONFLICT (log) DO UPDATE SET size = excluded.size",
                    (log, first + TILE_WIDTH),
                ),
            ]
        )
        return True

    async def strip_receipts(self, before: datetime) -> int:
        """Their octets; what tells a repetition stays. How many."""
        limit, after, count = milliseconds(before), ReceiptKey("", -1, b""), 0
        while rows := await self._engine.fetch(_RECEIPTS, *after):
            old = [ReceiptKey(*row[:3]) for row in rows if row[3] < limit and row[4]]
            if old:
                await self._engine.commit([_stripped(key) for key in old])
            count += len(old)
            after = ReceiptKey(*rows[-1][:3])
        return count

    async def drop_operations(self, before: datetime) -> int:
        """Ended ones, with the order where it was for this device alone.

        Those of an order for many stay as long as it may still be taken: its progress is counted by them.
        """
        eid, number, count = "", -(1 << 62), 0
        while rows := await self._engine.fetch(_OPERATIONS, eid, number):
            statements = []
            for owner, order, state, row, order_state, order_eid in rows:
                if _is_over(State(state), _OPERATION(row), order_state, before):
                    statements.append(Statement(_DROP, (owner, order, state)))
                    count += 1
                    if order_eid is not None:
                        statements.append(Statement(_DROP_ORDER, (order, owner)))
            if statements:
                await self._engine.commit(statements)
            eid, number = rows[-1][:2]
        return count


def _stripped(key: ReceiptKey) -> Statement:
    return Statement(
        "UPDATE eim_receipts SET octets = ? WHERE eid = ? AND sequence_number = ? AND digest = ?", (b"", *key)
    )


def _is_over(state: State, operation: Operation, order_state: str | None, before: datetime) -> bool:
    """An order that is gone or was a chore of our own has no state."""
    may_come = order_state in (OrderState.ACTIVE.value, OrderState.PLANNED.value)
    ended_at = operation.ended_at
    return state in ENDED and not may_come and ended_at is not None and ended_at < before
