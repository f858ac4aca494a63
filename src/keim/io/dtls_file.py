"""Live DTLS associations and sessions in a file beside the server: SQLite, each row sealed under a key.

Processes that share one UDP port share the file. Losing it costs handshakes, nothing else. Imports
keim.errors, keim.seams and keim.wire.dtls only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from keim.errors import Refused, StoreFailed
from keim.seams import KeyWrap
from keim.wire.dtls.sessions import Session, decode_session

PATIENCE_S: Final = 10.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS associations (
    id BLOB PRIMARY KEY, first INTEGER, owner TEXT NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    id BLOB PRIMARY KEY, until REAL NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_until ON sessions (until);
"""
_OF_WORKER: Final = """
SELECT id, sealed FROM associations WHERE CASE WHEN first IS NULL THEN owner = ? ELSE first % ? = ? END
"""


class Kept(msgspec.Struct, frozen=True):
    """One association to be kept: under its connection id, or under its address where it has none."""

    id: bytes
    has_cid: bool
    snapshot: bytes


class AssociationFile:
    """Of one worker among `workers`. Writes may come from any thread; reads, which never wait for them, come
    from the one that made it."""

    def __init__(self, path: Path, wrap: KeyWrap, *, worker: int = 0, workers: int = 1) -> None:
        self.path, self._wrap = path, wrap
        self._worker, self._workers = worker, workers
        self._owner = f"{worker}/{workers}"
        self._lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, timeout=PATIENCE_S, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            self._reading = sqlite3.connect(path, timeout=PATIENCE_S)
        except (OSError, sqlite3.Error) as fault:
            raise _failed(path, fault) from fault

    def associations(self) -> Iterator[bytes]:
        """Snapshots of this worker's associations; what does not open any more is dropped."""
        rows = self._all(_OF_WORKER, (self._owner, self._workers, self._worker))
        for key, sealed in rows:
            snapshot = self._open(sealed, b"association" + key)
            if snapshot is None:
                self.write((), (key,))
            else:
                yield snapshot

    def session(self, session_id: bytes) -> Session | None:
        for (sealed,) in self._all("SELECT sealed FROM sessions WHERE id = ?", (session_id,)):
            data = self._open(sealed, b"session" + session_id)
            return None if data is None else decode_session(data)
        return None

    def write(self, kept: Iterable[Kept], gone: Iterable[bytes], sessions: Iterable[Session] = ()) -> None:
        """Durable when it returns."""
        wrap = self._wrap.wrap
        rows = [
            (
                one.id,
                one.id[0] if one.has_cid else None,
                self._owner,
                wrap(one.snapshot, b"association" + one.id),
            )
            for one in kept
        ]
        resumable = [(one.id, one.until, wrap(one.encode(), b"session" + one.id)) for one in sessions]
        try:
            with self._lock, self._db:
                self._db.executemany("DELETE FROM associations WHERE id = ?", ((key,) for key in gone))
                self._db.executemany("REPLACE INTO associations VALUES (?, ?, ?, ?)", rows)
                self._db.executemany("REPLACE INTO sessions VALUES (?, ?, ?)", resumable)
        except sqlite3.Error as fault:
            raise _failed(self.path, fault) from fault

    def purge(self, now: float) -> None:
        try:
            with self._lock, self._db:
                self._db.execute("DELETE FROM sessions WHERE until <= ?", (now,))
        except sqlite3.Error as fault:
            raise _failed(self.path, fault) from fault

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self._reading.close()

    def _all(self, statement: str, values: tuple[object, ...]) -> list[tuple[bytes, ...]]:
        try:
            return self._reading.execute(statement, values).fetchall()
        except sqlite3.Error as fault:
            raise _failed(self.path, fault) from fault

    def _open(self, sealed: bytes, context: bytes) -> bytes | None:
        try:
            return self._wrap.unwrap(sealed, context)
        except StoreFailed:
            return None


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """One program and its workers at a time: two with the same associations would use a nonce twice."""
    import fcntl

    beside = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as fault:
        raise _failed(beside, fault) from fault
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise Refused(f"another program works with {path}", code="dtls.file_in_use") from taken
        yield
    finally:
        os.close(descriptor)


def _failed(path: Path, fault: Exception) -> StoreFailed:
    return StoreFailed(f"{path}: {fault}", code="dtls.not_kept")
