"""New rows by the thousand on PostgreSQL: COPY writes them in half the time of a statement over arrays.

Imports its neighbours `engine`, `postgres_log` and `postgres_sql` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from keim.io.store.engine import Entry, NewRows
from keim.io.store.postgres_log import append_many

_NUMBERS: Final = (
    "SELECT ARRAY(SELECT nextval(pg_get_serial_sequence($1, $2)) FROM generate_series(1, $3::bigint))"
)


async def add(connection: Any, tables: Sequence[NewRows], entries: Sequence[Entry]) -> None:
    """Inside of a transaction."""
    numbers: list[int] = []
    for table in tables:
        columns, rows = table.columns, table.rows
        if not rows:
            continue
        if table.serial:
            numbers = await connection.fetchval(_NUMBERS, table.table, table.serial, len(rows))
            columns = (table.serial, *columns)
            rows = [(number, *row) for number, row in zip(numbers, rows, strict=True)]
        elif table.has_places:
            rows = [(numbers[row[0]], *row[1:]) for row in rows]
        await connection.copy_records_to_table(table.table, records=rows, columns=columns)
    await append_many(connection, entries)
