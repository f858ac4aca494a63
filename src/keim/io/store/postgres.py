"""PostgreSQL, for several server processes on one database (extra `postgres`).

Changes that arrive together share one transaction on one of a few writing connections; a change that fails
is undone alone. Durable as PostgreSQL is by default (synchronous_commit=on).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any, Final, Self

from keim.errors import Refused, StoreFailed
from keim.io.store import log
from keim.io.store.engine import BATCH, QUEUE, Conflict, Entry, Migration, Statement
from keim.io.store.sqlite import statements_of

try:
    import asyncpg
except ModuleNotFoundError:  # the extra `postgres` is not installed; `open` says so
    asyncpg = None  # type: ignore[assignment]  # this stands for the module that is absent

_TYPES: Final = {
    "{octets}": "BYTEA",
    "{serial}": "BIGSERIAL PRIMARY KEY",
    "{clustered}": "",
    "INTEGER": "BIGINT",
}
_MIGRATION_LOCK: Final = 0x6B65696D
"""An advisory lock of ours: two servers that start together must not both create the tables."""

_Item = tuple[Sequence[Statement], Sequence[Entry], "asyncio.Future[None]"]
_READ_LOCKED: Final = f"{log.READ} FOR UPDATE"


class PostgresEngine:
    """Made by `open`; `pool` is asyncpg's."""

    def __init__(self, pool: Any, *, writers: int) -> None:
        self._pool = pool
        self._writers = writers
        self._queue: deque[_Item] = deque()
        self._flushing = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, url: str, *, connections: int = 8, writers: int = 2) -> Self:
        if asyncpg is None:
            raise Refused("PostgreSQL needs the package asyncpg", code="store.driver_absent")
        try:
            pool = await asyncpg.create_pool(url, min_size=1, max_size=max(connections, writers + 1))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise StoreFailed(f"PostgreSQL: {error}", code="store.cannot_open") from None
        return cls(pool, writers=writers)

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            rows = await self._pool.fetch(_own(sql), *parameters)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreFailed(str(error), code="store.statement_failed", step=sql[:80]) from None
        return [tuple(row.values()) for row in rows]

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        if not statements and not entries:
            return
        if len(self._queue) >= QUEUE:
            raise StoreFailed("too many changes are waiting", code="store.overloaded")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append((statements, entries, done))
        if self._flushing < self._writers:
            self._flushing += 1
            task = loop.create_task(self._flush())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await done

    async def _flush(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            await self._write(batch)
        # No await since the queue was found empty: a change queued from here on starts a new flush.
        self._flushing -= 1

    async def _write(self, batch: list[_Item]) -> None:
        outcomes: list[Exception | None] = []
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                told: list[Entry] = []
                for statements, entries, _ in batch:
                    outcomes.append(outcome := await self._write_one(connection, statements))
                    if outcome is None:
                        told += entries
                await _append(connection, told)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if len(batch) > 1:
                for item in batch:  # one of them may be the reason (a deadlock, say): each on its own
                    await self._write([item])
                return
            outcomes = [_outcome(error)]
        for (_, _, done), outcome in zip(batch, outcomes, strict=True):
            if done.done():
                continue  # whoever waited has gone; the change stands all the same
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)

    async def _write_one(self, connection: Any, statements: Sequence[Statement]) -> Exception | None:
        try:
            async with connection.transaction():
                for sql, parameters, expects in statements:
                    tag = await connection.execute(_own(sql), *parameters)
                    if expects is not None and int(tag.rpartition(" ")[2]) != expects:
                        raise Conflict(sql)
        except Conflict as conflict:
            return conflict
        except asyncpg.IntegrityConstraintViolationError as error:
            return Conflict(str(error))
        except (asyncpg.DataError, asyncpg.SyntaxOrAccessError) as error:
            return StoreFailed(str(error), code="store.statement_failed")
        return None

    async def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._migrate(connection, component, migrations)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreFailed(str(error), code="store.migration_failed", step=component) from None

    async def _migrate(self, connection: Any, component: str, migrations: Sequence[Migration]) -> None:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (component TEXT PRIMARY KEY, done BIGINT NOT NULL)"
        )
        done = await connection.fetchval("SELECT done FROM migrations WHERE component = $1", component) or 0
        if done > len(migrations):
            raise StoreFailed(f"{component}: the database is of a later version", code="store.newer_database")
        for migration in migrations[done:]:
            if isinstance(migration, str):
                for statement in statements_of(migration, _TYPES):
                    await connection.execute(statement)
            else:
                await migration(_Session(connection))
        await connection.execute(
            "INSERT INTO migrations VALUES ($1, $2)"
            " ON CONFLICT (component) DO UPDATE SET done = excluded.done",
            component,
            len(migrations),
        )

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._pool.close()


@cache
def _own(sql: str) -> str:
    """`?` as $1, $2, ...; remembered, since the statements of a server are few."""
    numbers = count(1)
    return re.sub(r"\?", lambda _match: f"${next(numbers)}", sql)


async def _append(connection: Any, entries: Sequence[Entry]) -> None:
    """The edge stays locked until the transaction ends: numbers become visible in their order."""
    for name, own in log.by_log(entries):
        edge = await connection.fetchval(_own(_READ_LOCKED), name)
        if edge is None:
            await connection.execute(_own(log.BEGIN), name, log.EMPTY)
            edge = await connection.fetchval(_own(_READ_LOCKED), name)
        change = log.appended(name, edge, own)
        await connection.executemany(_own(log.ENTRY), change.rows)
        await connection.execute(_own(log.WRITE), *change.edge)


class _Session:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self._connection.fetch(_own(sql), *parameters)]

    async def execute(self, sql: str, *parameters: Any) -> None:
        await self._connection.execute(_own(sql), *parameters)

    async def append(self, entries: Sequence[Entry]) -> None:
        await _append(self._connection, entries)


def _outcome(error: Exception) -> Exception:
    """Two transactions that met are a conflict like any other; the rest is a failed store."""
    if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflict(str(error))
    return StoreFailed(str(error), code="store.commit_failed")
