"""The end of the logs on PostgreSQL: their edges are locked, and their new leaves written.

Imports keim.io.store.log and its neighbours `engine` and `postgres_sql` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keim.io.store import log
from keim.io.store import postgres_sql as own
from keim.io.store.engine import Entry


async def append(connection: Any, entries: Sequence[Entry]) -> None:
    """Last in its transaction: until this ends, nobody else appends to the same logs."""
    if not entries:
        return
    changes = await _changes(connection, entries)
    rows = zip(*(row for change in changes for row in change.rows), strict=True)
    ends = zip(*(change.edge for change in changes), strict=True)
    await connection.execute(own.APPEND, *map(list, rows), *map(list, ends))


async def append_many(connection: Any, entries: Sequence[Entry]) -> None:
    """The same by COPY: half the work where they are a thousand."""
    if not entries:
        return
    changes = await _changes(connection, entries)
    rows = [row for change in changes for row in change.rows]
    await connection.copy_records_to_table("eim_events", records=rows, columns=log.COLUMNS)
    await connection.executemany(own.numbered(log.WRITE), [change.edge for change in changes])


async def _changes(connection: Any, entries: Sequence[Entry]) -> list[log.Appended]:
    groups = log.by_log(entries)
    edges = dict(await connection.fetch(own.LOCK_EDGES, [name for name, _ in groups]))
    if absent := [name for name, _ in groups if name not in edges]:
        await connection.execute(own.BEGIN_LOGS, absent, log.EMPTY)
        edges |= dict(await connection.fetch(own.LOCK_EDGES, absent))
    return [log.appended(name, edges[name], of_log) for name, of_log in groups]
