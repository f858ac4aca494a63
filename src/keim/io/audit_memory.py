"""A verifier's memory that stays flat: the entries used last in a dictionary, all others in a file.

Imports sqlite3 only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

HOT_ENTRIES: Final = 50_000


class SpillingMemory(MutableMapping[bytes, bytes]):
    """Behaves like a dictionary. The file is SQLite's temporary one, or `path`; it is gone afterwards."""

    def __init__(self, *, hot: int = HOT_ENTRIES, path: Path | None = None) -> None:
        self._limit = max(2, hot)
        self._hot: dict[bytes, bytes] = {}
        self._cold: sqlite3.Connection | None = None
        self._path = "" if path is None else str(path)

    def __getitem__(self, key: bytes) -> bytes:
        value = self._hot.get(key)
        if value is not None:
            return value
        if self._cold is None:
            raise KeyError(key)
        row = self._cold.execute("SELECT v FROM m WHERE k = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        found: bytes = row[0]
        self[key] = found
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if len(self._hot) >= self._limit and key not in self._hot:
            self._spill()
        self._hot[key] = value

    def __delitem__(self, key: bytes) -> None:
        was_cold = 0
        if self._cold is not None:
            was_cold = self._cold.execute("DELETE FROM m WHERE k = ?", (key,)).rowcount
        if self._hot.pop(key, None) is None and not was_cold:
            raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        """In the order of the keys once something lies in the file."""
        self._spill_all()
        if self._cold is None:
            yield from list(self._hot)
            return
        for row in self._cold.execute("SELECT k FROM m ORDER BY k"):
            yield row[0]

    def __len__(self) -> int:
        self._spill_all()
        if self._cold is None:
            return len(self._hot)
        count: int = self._cold.execute("SELECT count(*) FROM m").fetchone()[0]
        return count

    def _spill_all(self) -> None:
        if self._cold is not None:
            self._write(dict(self._hot))

    def _spill(self) -> None:
        """The older half goes to the file."""
        if self._cold is None:
            self._cold = sqlite3.connect(self._path, isolation_level=None)
            self._cold.execute("PRAGMA journal_mode = OFF")
            self._cold.execute("PRAGMA synchronous = OFF")
            self._cold.execute("CREATE TABLE m (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
        old = dict(list(self._hot.items())[: self._limit // 2])
        self._write(old)
        for key in old:
            del self._hot[key]

    def _write(self, entries: dict[bytes, bytes]) -> None:
        assert self._cold is not None  # opened by the first spill
        self._cold.execute("BEGIN")
        self._cold.executemany("INSERT OR REPLACE INTO m VALUES (?, ?)", sorted(entries.items()))
        self._cold.execute("COMMIT")

    def close(self) -> None:
        if self._cold is not None:
            self._cold.close()
            self._cold = None
        self._hot.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
