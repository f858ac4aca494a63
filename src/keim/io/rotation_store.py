"""Rotations of an eIM's signing key, in its database: one row each, of which the last may be under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from keim.eim.key_rotation import Rotation
from keim.eim.rows import Device, State
from keim.eim.selection import Selection
from keim.io.store.engine import Engine, Entry, Statement, as_json

MIGRATIONS: Final = (
    """
    CREATE TABLE eim_key_rotations (number INTEGER PRIMARY KEY, state TEXT NOT NULL, row TEXT NOT NULL)
    """,
)
_DECODE: Final = msgspec.json.Decoder(Rotation).decode
_DEVICE: Final = msgspec.json.Decoder(Device).decode


class RotationStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def prepare(self) -> None:
        await self._engine.migrate("eim_key_rotation", MIGRATIONS)

    async def last(self) -> Rotation | None:
        rows = await self._engine.fetch("SELECT row FROM eim_key_rotations ORDER BY number DESC LIMIT 1")
        return _DECODE(rows[0][0]) if rows else None

    async def begin(self, rotation: Rotation) -> None:
        """`Conflict` if another one has just begun."""
        await self._engine.commit(
            [
                Statement(
                    "INSERT INTO eim_key_rotations (number, state, row) VALUES (?, ?, ?)"
                    " ON CONFLICT (number) DO NOTHING",
                    (rotation.number, rotation.state.value, as_json(rotation)),
                    1,
                )
            ]
        )

    async def move(self, before: Rotation, after: Rotation, entries: Sequence[Entry] = ()) -> Rotation:
        """`Conflict` if somebody else has moved it."""
        statement = Statement(
            "UPDATE eim_key_rotations SET state = ?, row = ? WHERE number = ? AND row = ?",
            (after.state.value, as_json(after), before.number, as_json(before)),
            1,
        )
        await self._engine.commit([statement], entries)
        return after

    async def tenants(self) -> list[str]:
        rows = await self._engine.fetch("SELECT DISTINCT tenant FROM eim_devices ORDER BY tenant")
        return [row[0] for row in rows]

    async def active_devices(self, after: int, limit: int) -> list[tuple[int, Device]]:
        """A page of them with their ordinals."""
        rows = await self._engine.fetch(
            "SELECT ordinal, row FROM eim_devices WHERE ordinal > ? AND state = 'active'"
            f" ORDER BY ordinal LIMIT {limit:d}",
            after,
        )
        return [(ordinal, _DEVICE(row)) for ordinal, row in rows]

    async def selection(self, reference: str) -> Selection:
        parts = await self._engine.fetch(
            "SELECT part, octets FROM eim_selections WHERE reference = ? ORDER BY part", reference
        )
        return Selection((part, bytes(octets)) for part, octets in parts)

    async def states(self, order: int) -> dict[str, State]:
        """EID -> state, of those who have the order and have not succeeded."""
        rows = await self._engine.fetch(
            "SELECT eid, state FROM eim_operations WHERE order_id = ? AND is_of_many = 1"
            " AND state <> 'succeeded'",
            order,
        )
        return {eid: State(state) for eid, state in rows}

    async def forget_selection(self, reference: str) -> None:
        """Of an order that was cut off before it was placed."""
        await self._engine.commit(
            [
                Statement(
                    "DELETE FROM eim_selections WHERE reference = ? AND NOT EXISTS"
                    " (SELECT 1 FROM eim_orders WHERE reference = ?)",
                    (reference, reference),
                )
            ]
        )
