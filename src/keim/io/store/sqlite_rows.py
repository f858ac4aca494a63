"""New rows by the thousand in SQLite: one statement for each table.

Imports its neighbour `engine` only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from keim.io.store.engine import NewRows


def insert(connection: sqlite3.Connection, tables: Sequence[NewRows]) -> None:
    """Inside of a transaction."""
    first = 0
    for table in tables:
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.table} ({', '.join(table.columns)}) VALUES ({marks})"
        if table.serial:  # SQLite itself goes on behind the largest number
            first = (
                1
                + connection.execute(
                    f"SELECT COALESCE(MAX({table.serial}), 0) FROM {table.table}"
                ).fetchone()[0]
            )
        rows = ((first + row[0], *row[1:]) for row in table.rows) if table.has_places else table.rows
        connection.executemany(sql, rows)
