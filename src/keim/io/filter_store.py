"""Filters of devices that people have given a name. A table of its own (component "filters").

Imports keim.eim.filters and keim.io.store.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.eim.filters import DeviceFilter
from keim.io.store.engine import Engine, Statement, as_json

MIGRATIONS: Final = (
    """
    CREATE TABLE filters (
        tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (tenant, name)) {clustered}
    """,
)


class SavedFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    tenant: str
    name: str
    filter: DeviceFilter
    description: str = ""
    version: int = 1
    changed_at: datetime
    changed_by: str = ""


class FilterStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decode = msgspec.json.Decoder(SavedFilter).decode

    async def prepare(self) -> None:
        await self._engine.migrate("filters", MIGRATIONS)

    async def get(self, tenant: str, name: str) -> SavedFilter | None:
        rows = await self._engine.fetch("SELECT row FROM filters WHERE tenant = ? AND name = ?", tenant, name)
        return self._decode(rows[0][0]) if rows else None

    async def page(self, tenant: str, *, after: str, limit: int) -> list[SavedFilter]:
        rows = await self._engine.fetch(
            f"SELECT row FROM filters WHERE tenant = ? AND name > ? ORDER BY name LIMIT {limit:d}",
            tenant,
            after,
        )
        return [self._decode(row[0]) for row in rows]

    async def put(self, saved: SavedFilter) -> None:
        """`Conflict` unless its version follows the one that is there (1: none is)."""
        row = as_json(saved)
        if saved.version == 1:
            statement = Statement(
                "INSERT INTO filters (tenant, name, version, row) VALUES (?, ?, ?, ?)",
                (saved.tenant, saved.name, saved.version, row),
                1,
            )
        else:
            statement = Statement(
                "UPDATE filters SET version = ?, row = ? WHERE tenant = ? AND name = ? AND version = ?",
                (saved.version, row, saved.tenant, saved.name, saved.version - 1),
                1,
            )
        await self._engine.commit([statement])

    async def remove(self, tenant: str, name: str) -> None:
        await self._engine.commit(
            [Statement("DELETE FROM filters WHERE tenant = ? AND name = ?", (tenant, name))]
        )
