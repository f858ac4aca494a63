"""SQLite: a file beside the server, durable (WAL, synchronous=FULL), with group commit.

All changes of one turn of the event loop share one transaction: simplest and fastest (a hop to a thread
costs more than the change). It blocks the loop for one fsync; where a disk makes that slow, `in_thread` moves
the writing to a thread of its own. `gather_s` lets changes wait for company while it keeps coming: a
transaction costs four times what a change in it does. One process per file: a second writer only waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from keim.errors import StoreFailed
from keim.io.store import log
from keim.io.store.batch import Batch, overloaded, settling, take
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
    as_json,
)
from keim.io.store.leaf_shelf import LeafShelf
from keim.io.store.sqlite_rows import insert

_SETTINGS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-4096",  # larger is slower: a commit that split a page walks through all of the cache
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA mmap_size=1073741824",
)
_TROUBLES: Final = (sqlite3.Error, OverflowError, UnicodeError)
"""The last two: a number or a text that SQLite does not hold."""
_FEW: Final = 8
"""Statements that are not worth sorting by kind."""
_TYPES: Final = {
    "{octets}": "BLOB",
    "{serial}": "INTEGER PRIMARY KEY",
    "{clustered}": "WITHOUT ROWID",
}


class SqliteEngine:
    """`path` None keeps everything in memory: for tests and trials."""

    def __init__(self, path: Path | None = None, *, in_thread: bool = False, gather_s: float = 0.0) -> None:
        self.shelf: LeafShelf | None = None
        self._gather_s = gather_s
        self._path = path
        self._writer = self._connect()
        is_threaded = in_thread and path is not None
        self._reader = self._connect() if is_threaded else self._writer
        self._thread = ThreadPoolExecutor(1, "keim-store") if is_threaded else None
        self._queue: deque[Change] = deque()
        self._is_flushing = False
        self._flusher: asyncio.Task[None] | None = None

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                str(self._path) if self._path else ":memory:",
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            for setting in _SETTINGS:
                connection.execute(setting)
        except sqlite3.Error as error:
            raise StoreFailed(f"{self._path}: {error}", code="store.cannot_open") from None
        return connection

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except _TROUBLES as error:
            raise StoreFailed(str(error), code="store.statement_failed", step=sql[:80]) from None

    async def look_up(self, lookup: Lookup, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self.fetch(lookup.json, as_json(keys))

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        if not statements and not entries:
            return
        if len(self._queue) >= QUEUE:
            raise overloaded()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append(Change(statements, entries, settling(done)))
        if not self._is_flushing:
            self._is_flushing = True
            if self._thread is not None:
                self._flusher = loop.create_task(self._flush_in_thread(self._thread))
            elif self._gather_s:
                self._wait_for_company(loop, 0, loop.time() + self._gather_s)
            else:
                loop.call_soon(self._flush_inline)
        await done

    def submit(self, changes: Sequence[Change]) -> None:
        if len(self._queue) >= QUEUE:
            _settle(changes, [overloaded()] * len(changes))
            return
        self._queue.extend(changes)
        if self._thread is None:
            self._flush_inline()
        elif not self._is_flushing:
            self._is_flushing = True
            self._flusher = asyncio.get_running_loop().create_task(self._flush_in_thread(self._thread))

    def _wait_for_company(self, loop: asyncio.AbstractEventLoop, before: int, until: float) -> None:
        """As long as changes keep coming, but not for ever."""
        count = len(self._queue)
        if count == before or count >= BATCH or loop.time() >= until:
            self._flush_inline()
        else:
            loop.call_later(MOMENT_S, self._wait_for_company, loop, count, until)

    def _flush_inline(self) -> None:
        while self._queue:
            batch = take(self._queue)
            _settle(batch.changes, self._write(batch))
        self._is_flushing = False

    async def _flush_in_thread(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = take(self._queue)
            _settle(batch.changes, await loop.run_in_executor(thread, self._write, batch))
        # In the same step that found the queue empty: a change queued from here on starts a new flush.
        self._is_flushing = False

    def _write(self, batch: Batch) -> list[Exception | None]:
        """One transaction; a change that fails is undone alone. The outcome of each, in order."""
        connection, changes = self._writer, batch.changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcome = _run_together(connection, batch)
            if outcome is None:
                _append(connection, [entry for change in changes for entry in change.entries])
                connection.execute("COMMIT")
                return [None] * len(changes)
            if not connection.in_transaction:  # a full disk, for one, has undone all of it already
                return [_lost(outcome)] * len(changes)
            connection.execute("ROLLBACK")
            if len(changes) == 1:
                return [outcome]
            return self._write_apart(connection, changes)
        except Exception as error:  # whatever it was: no transaction may stay open, nobody unanswered
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return [StoreFailed(str(error), code="store.commit_failed")] * len(changes)

    @staticmethod
    def _write_apart(connection: sqlite3.Connection, changes: list[Change]) -> list[Exception | None]:
        """The same once more, where one has failed: a savepoint around each, which costs as much again."""
        outcomes: list[Exception | None] = []
        told: list[Entry] = []
        connection.execute("BEGIN IMMEDIATE")
        for change in changes:
            connection.execute("SAVEPOINT change")
            outcome = _run(connection, change.statements)
            if not connection.in_transaction:
                return [_lost(outcome)] * len(changes)
            if outcome is not None:
                connection.execute("ROLLBACK TO change")
            else:
                told += change.entries
            connection.execute("RELEASE change")
            outcomes.append(outcome)
        _append(connection, told)
        connection.execute("COMMIT")
        return outcomes

    async def add(self, tables: Sequence[NewRows], entries: Sequence[Entry] = ()) -> None:
        if self._thread is None:
            self._add(tables, entries)
            await asyncio.sleep(0)  # whoever has more of it does not keep the others from their turn
        else:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._add, tables, entries)

    def _add(self, tables: Sequence[NewRows], entries: Sequence[Entry]) -> None:
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            insert(connection, tables)
            _append(connection, entries)
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise Conflict(str(error)) from None
        except _TROUBLES as error:
            raise StoreFailed(str(error), code="store.commit_failed") from None
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    async def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        try:
            await self._migrate(component, migrations)
        except sqlite3.Error as error:
            raise StoreFailed(str(error), code="store.migration_failed", step=component) from None

    async def _migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        connection = self._writer
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (component TEXT PRIMARY KEY, done INTEGER NOT NULL)"
        )
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute(
                "SELECT done FROM migrations WHERE component = ?", (component,)
            ).fetchone()
            done = row[0] if row else 0
            if done > len(migrations):
                raise StoreFailed(
                    f"{component}: the database is of a later version", code="store.newer_database"
                )
            for migration in migrations[done:]:
                if isinstance(migration, str):
                    for statement in statements_of(migration, _TYPES):
                        connection.execute(statement)
                else:
                    await migration(_Session(connection))
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?)"
                " ON CONFLICT (component) DO UPDATE SET done = excluded.done",
                (component, len(migrations)),
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        while self._queue or self._is_flushing:
            await asyncio.sleep(self._gather_s)
        if self._thread is not None:
            self._thread.shutdown()
            self._reader.close()
        self._writer.close()


def _lost(outcome: Exception | None) -> StoreFailed:
    """Of a transaction that SQLite itself has ended."""
    return StoreFailed(str(outcome), code="store.commit_failed")


def _run_together(connection: sqlite3.Connection, batch: Batch) -> Exception | None:
    """All changes, kind by kind; an exception says that one of them has failed, not which."""
    if len(batch.changes) == 1 and len(batch.changes[0].statements) < _FEW:
        return _run(connection, batch.changes[0].statements)
    try:
        for kind in batch.kinds:
            changed = connection.executemany(kind.write.one, kind.parameters).rowcount
            if kind.write.key is not None and changed != len(kind.parameters):
                return Conflict(kind.write.one)
    except _TROUBLES as error:
        return StoreFailed(str(error), code="store.statement_failed")
    for change in batch.plain:
        if (outcome := _run(connection, change.statements)) is not None:
            return outcome
    return None


def _run(connection: sqlite3.Connection, statements: Sequence[Statement]) -> Exception | None:
    """The statements of one change, to the first that fails; None when none has."""
    execute = connection.execute
    try:
        for statement in statements:
            one = statement.sql if isinstance(statement.sql, str) else statement.sql.one
            changed = execute(one, statement.parameters).rowcount
            if statement.expects is not None and changed != statement.expects:
                return Conflict(one)
    except sqlite3.IntegrityError as error:
        return Conflict(str(error))
    except _TROUBLES as error:
        return StoreFailed(str(error), code="store.statement_failed")
    return None


def _append(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    for name, own in log.by_log(entries):
        row = connection.execute(log.READ, (name,)).fetchone()
        change = log.appended(name, log.EMPTY if row is None else row[0], own)
        connection.executemany(log.ENTRY, change.rows)
        connection.execute(log.WRITE, change.edge)


class _Session:
    """Never waits, so nothing else comes between its statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    async def execute(self, sql: str, *parameters: Any) -> None:
        self._connection.execute(sql, parameters)

    async def append(self, entries: Sequence[Entry]) -> None:
        _append(self._connection, entries)


def statements_of(script: str, types: dict[str, str]) -> list[str]:
    for name, own in types.items():
        script = script.replace(name, own)
    return [statement.strip() for statement in script.split(";") if statement.strip()]


def _settle(changes: Sequence[Change], outcomes: Sequence[Exception | None]) -> None:
    for change, outcome in zip(changes, outcomes, strict=True):
        change.settle(outcome)
