"""New rows by the thousand in SQLite: one statement for each table.

Imports its neighbour `engine` only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from keim.io.store.engine import NewRows


def insert(connection: sqlite3.Connection, tables: Sequence[NewRows]) -> None:
    """Inside of a transaction."""
    numbers = range(0)
    for table in tables:
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.table} ({', '.join(table.columns)}) VALUES ({marks})"
        if table.serial:  # SQLite itself goes on behind the largest number
            largest = f"SELECT COALESCE(MAX({table.serial}), 0) FROM {table.table}"
            first = connection.execute(largest).fetchone()[0] + 1
            numbers = range(first, first + len(table.rows))
        rows = ((numbers[row[0]], *row[1:]) for row in table.rows) if table.has_places else table.rows
        connection.executemany(sql, rows)
