"""From the text in a configuration to an engine: a file is SQLite, `postgresql://` is PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from keim.io.store.engine import Engine
from keim.io.store.postgres import PostgresEngine
from keim.io.store.sqlite import SqliteEngine

MEMORY = ":memory:"


async def open_engine(where: str, *, in_thread: bool = False, gather_s: float = 0.0) -> Engine:
    if where.startswith(("postgresql://", "postgres://")):
        return await PostgresEngine.open(where, gather_s=gather_s)
    return SqliteEngine(None if where == MEMORY else Path(where), in_thread=in_thread, gather_s=gather_s)
