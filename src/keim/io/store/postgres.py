"""PostgreSQL, for several server processes on one database (extra `postgres`).

A statement is a journey, so whatever many ask or change in one moment travels together: reads of many keys
as one `= ANY`, changes as one statement over arrays for all kinds of rows, each batch one transaction on one
of a few writing connections. A change that fails is undone alone. Durable as PostgreSQL is by default
(synchronous_commit=on).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, Self

from keim.errors import Refused, StoreFailed
from keim.io.store import postgres_sql as own
from keim.io.store.batch import Batch, Kind, lost, overloaded, settling, take
from keim.io.store.engine import (
    BATCH,
    MOMENT_S,
    QUEUE,
    Change,
    Conflict,
    Entry,
    Lookup,
    Migration,
    NewRows,
    Statement,
    WhereClustered,
)
from keim.io.store.leaf_shelf import LeafShelf
from keim.io.store.postgres_copy import add
from keim.io.store.postgres_log import append
from keim.io.store.sqlite import statements_of

try:
    import asyncpg
except ModuleNotFoundError:  # the extra `postgres` is not installed; `open` says so
    asyncpg = None  # type: ignore[assignment]  # this stands for the module that is absent

_MIGRATION_LOCK: Final = 0x6B65696D
"""An advisory lock of ours: two servers that start together must not both create the tables."""
WRITERS: Final = 2
READERS: Final = 2


def _troubles() -> tuple[type[Exception], ...]:
    """What a statement may meet. The internal ones come of a connection that ends in the middle of a call, as
    does RuntimeError: uvloop raises it for what is written to a connection that has just ended.
    """
    if asyncpg is None:
        return (OSError,)
    return (OSError, RuntimeError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


_TROUBLES: Final = _troubles()
_OPENING: Final[tuple[type[Exception], ...]] = (*_TROUBLES, ValueError)


class _Lost(Exception):
    """Of the changes of a batch, these met a row that was not as expected."""

    def __init__(self, losers: list[Change]) -> None:
        super().__init__()
        self.losers = losers


class PostgresEngine:
    """Made by `open`; pools are asyncpg's: `pool` for statements one by one, `hot` for those of many."""

    def __init__(self, pool: Any, hot: Any, *, gather_s: float = 0.0) -> None:
        self.shelf: LeafShelf | None = None
        self._pool = pool
        self._hot = hot
        self._gather_s = gather_s
        self._queue: deque[Change] = deque()
        self._flushing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, url: str, *, connections: int = 8, gather_s: float = 0.0) -> Self:
        if asyncpg is None:
            raise Refused("PostgreSQL needs the package asyncpg", code="store.driver_absent")
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=connections, server_settings=own.BY_INDEX, reset=_nothing
            )
            hot = await asyncpg.create_pool(
                url, min_size=1, max_size=WRITERS + READERS, server_settings=own.BY_INDEX, reset=_nothing
            )
        except _OPENING as error:
            raise StoreFailed(f"PostgreSQL: {_words(error)}", code="store.cannot_open") from None
        return cls(pool, hot, gather_s=gather_s)

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            rows = await self._pool.fetch(own.numbered(sql), *parameters)
        except _TROUBLES as error:
            raise StoreFailed(_words(error), code="store.statement_failed", step=sql[:80]) from None
        return [tuple(row) for row in rows]

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def look_up(self, lookup: Lookup, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            rows = await self._hot.fetch(own.numbered(lookup.array), keys)
        except _TROUBLES as error:
            raise StoreFailed(_words(error), code="store.statement_failed", step=lookup.array[:80]) from None
        return [tuple(row) for row in rows]

    # changes

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        if not statements and not entries:
            return
        if len(self._queue) >= QUEUE:
            raise overloaded()
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(Change(statements, entries, settling(done)))
        self._flush_soon(gathers=self._gather_s > 0)
        await done

    def submit(self, changes: Sequence[Change]) -> None:
        if len(self._queue) >= QUEUE:
            for change in changes:
                change.settle(overloaded())
            return
        self._queue.extend(changes)
        self._flush_soon(gathers=False)

    def _flush_soon(self, *, gathers: bool) -> None:
        if self._flushing < WRITERS:
            self._flushing += 1
            self._spawn(self._flush(gathers=gathers))

    async def _flush(self, *, gathers: bool) -> None:
        if gathers:
            await self._wait_for_company()
        while self._queue:
            await self._write(take(self._queue))
        # No await since the queue was found empty: a change queued from here on starts a new flush.
        self._flushing -= 1

    async def _wait_for_company(self) -> None:
        """As long as changes keep coming, but not for ever."""
        before, until = 0, self._loop.time() + self._gather_s
        while before < len(self._queue) < BATCH and self._loop.time() < until:
            before = len(self._queue)
            await asyncio.sleep(MOMENT_S)

    async def _write(self, batch: Batch) -> None:
        """One transaction; who has lost is told, and the others are tried again at once."""
        while batch.changes:
            try:
                async with self._hot.acquire() as connection, connection.transaction():
                    outcomes = await _make(connection, batch)
            except _Lost as found:
                for change in found.losers:
                    change.settle(lost())
                batch = Batch(change for change in batch.changes if change not in found.losers)
            except Exception as error:  # whatever it was: nobody stays unanswered, and the next batch comes
                await self._after_failure(batch.changes, error)
                return
            else:
                for change, outcome in zip(batch.changes, outcomes, strict=True):
                    change.settle(outcome)
                return

    async def _after_failure(self, changes: list[Change], error: Exception) -> None:
        is_gone = isinstance(error, asyncpg.PostgresConnectionError)
        is_of_one = (
            isinstance(error, Conflict | asyncpg.PostgresError | asyncpg.InterfaceError) and not is_gone
        )
        if len(changes) == 1 or not is_of_one:
            for change in changes:
                change.settle(_outcome(error))
            return
        for change in changes:  # one of them may be the reason, or two (a deadlock, say): each on its own
            await self._write(Batch([change]))

    async def add(self, tables: Sequence[NewRows], entries: Sequence[Entry] = ()) -> None:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await add(connection, tables, entries)
        except _TROUBLES as error:
            raise _outcome(error) from None

    # tables

    async def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._migrate(connection, component, migrations)
        except _TROUBLES as error:
            raise StoreFailed(_words(error), code="store.migration_failed", step=component) from None

    async def _migrate(self, connection: Any, component: str, migrations: Sequence[Migration]) -> None:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (component TEXT PRIMARY KEY, done BIGINT NOT NULL)"
        )
        done = await connection.fetchval("SELECT done FROM migrations WHERE component = $1", component) or 0
        if done > len(migrations):
            raise StoreFailed(f"{component}: the database is of a later version", code="store.newer_database")
        for migration in migrations[done:]:
            if isinstance(migration, WhereClustered):
                continue
            if isinstance(migration, str):
                for statement in statements_of(migration, own.TYPES):
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
        await self._hot.close()
        await self._pool.close()


async def _nothing(connection: Any) -> None:
    """No connection of ours is left in a state that would have to be reset."""
    del connection


async def _make(connection: Any, batch: Batch) -> list[Exception | None]:
    """The changes of a transaction in the order of locks that all keep: rows, plain changes, logs."""
    await _make_rows(connection, batch.kinds)
    is_alone = len(batch.changes) == 1
    outcomes = {change: await _make_plain(connection, change, is_alone=is_alone) for change in batch.plain}
    told = [change for change in batch.changes if outcomes.get(change) is None]
    await append(connection, [entry for change in told for entry in change.entries])
    return [outcomes.get(change) for change in batch.changes]


async def _make_rows(connection: Any, kinds: Sequence[Kind]) -> None:
    for _, group in groupby(kinds, key=lambda kind: max(kind.rank, 0)):
        together = list(group)
        sql, checked = own.together(tuple(kind.write for kind in together))
        arrays = [list(column) for kind in together for column in zip(*kind.parameters, strict=True)]
        found = await connection.fetchrow(sql, *arrays)
        losers: list[Change] = []
        for number, position in enumerate(checked):
            losers += together[position].losers(set(found[number]))
        if losers:
            raise _Lost(losers)


async def _make_plain(connection: Any, change: Change, *, is_alone: bool) -> Exception | None:
    if is_alone:  # the transaction itself undoes it
        await _make_one_by_one(connection, change.statements)
        return None
    try:
        async with connection.transaction():
            await _make_one_by_one(connection, change.statements)
    except (
        Conflict,
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.DataError,
        asyncpg.SyntaxOrAccessError,
    ) as error:
        return _outcome(error)
    return None


async def _make_one_by_one(connection: Any, statements: Sequence[Statement]) -> None:
    for statement in statements:
        sql, expects = statement.sql, statement.expects
        if isinstance(sql, str):
            tag = await connection.execute(own.numbered(sql), *statement.parameters)
            if expects is not None and int(tag.rpartition(" ")[2]) != expects:
                raise Conflict(sql)
        else:
            many, checked = own.together((sql,))
            found = await connection.fetchrow(many, *([value] for value in statement.parameters))
            if checked and not found[0]:
                raise lost()


class _Session:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(own.numbered(sql), *parameters)]

    async def execute(self, sql: str, *parameters: Any) -> None:
        await self._connection.execute(own.numbered(sql), *parameters)

    async def append(self, entries: Sequence[Entry]) -> None:
        await append(self._connection, entries)


def _words(error: Exception) -> str:
    """A time that ran out, for one, says nothing by itself."""
    return str(error) or type(error).__name__


def _outcome(error: Exception) -> Exception:
    """Two transactions that met are a conflict like any other; the rest is a failed store."""
    if isinstance(error, Conflict):
        return error
    if isinstance(
        error,
        asyncpg.IntegrityConstraintViolationError
        | asyncpg.DeadlockDetectedError
        | asyncpg.SerializationError,
    ):
        return Conflict(str(error))
    if isinstance(error, asyncpg.DataError | asyncpg.SyntaxOrAccessError):
        return StoreFailed(_words(error), code="store.statement_failed")
    return StoreFailed(_words(error), code="store.commit_failed")
