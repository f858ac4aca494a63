"""What both engines do to append to logs: one read and one write of a log's right edge for each transaction.

Pure: the statements and the fold (keim.audit.tree); the engines run them, last in their transaction, since
whoever appends to the same log waits for its end. Imports keim.audit.tree and its neighbour `engine` only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from keim.audit.tree import Edge
from keim.io.store.engine import Entry

READ: Final = "SELECT edge FROM eim_logs WHERE log = ?"
WRITE: Final = (
    "INSERT INTO eim_logs (log, size, edge) VALUES (?, ?, ?)"
    " ON CONFLICT (log) DO UPDATE SET size = excluded.size, edge = excluded.edge"
)
COLUMNS: Final = ("log", "id", "at", "eid", "kind", "leaf", "hash")
ENTRY: Final = f"INSERT INTO eim_events ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
EMPTY: Final = Edge().octets


class Appended(NamedTuple):
    edge: tuple[str, int, bytes]
    """Parameters of `WRITE`."""
    rows: list[tuple[Any, ...]]
    """Parameters of `ENTRY`, one for each."""


def by_log(entries: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Sorted by name, so that two transactions lock logs in the same order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.log, []).append(entry)
    return sorted(found.items())


def appended(log: str, edge: bytes, entries: list[Entry]) -> Appended:
    before = Edge.from_octets(bytes(edge))
    after = before.extend(entry.hash for entry in entries)
    rows = [
        (log, number, entry.at, entry.eid, entry.kind, entry.leaf, entry.hash)
        for number, entry in enumerate(entries, before.size)
    ]
    return Appended((log, after.size, after.octets), rows)
