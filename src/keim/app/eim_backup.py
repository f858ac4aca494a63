"""Backup of a running eIM, and the way back.

SQLite is copied page by page while the server works. PostgreSQL has tools of its own (pg_dump, base backups);
what both need afterwards is the same: counters that leap ahead of everything that may have been used.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from pathlib import Path

from keim.eim.events import Event
from keim.eim.facts import Decision
from keim.eim.restoring import COUNTER_LEAP, after_restore
from keim.eim.rows import DeviceState, Row
from keim.errors import Refused, StoreFailed
from keim.io.eim_store import EimStore
from keim.io.store.engine import Conflict
from keim.io.store.open import open_engine
from keim.seams import Clock

LOT = 500
_PAGES = 256


def is_server(where: str) -> bool:
    return where.startswith(("postgresql://", "postgres://"))


def backup(store: str, target: Path) -> int:
    """A consistent copy of the database of a server that may be running; its size in octets.

    One read transaction for all of it: SQLite begins a copy anew whenever somebody has written between two of
    its steps, so that it would never end while devices keep coming.
    """
    if is_server(store):
        raise Refused(
            "a PostgreSQL database is backed up with its own tools (pg_dump)", code="eim.backup_by_database"
        )
    if target.exists():
        raise Refused(f"{target} exists already", code="eim.backup_exists")
    if not Path(store).is_file():
        raise StoreFailed(f"{store} is no database", code="store.cannot_open")
    partial = target.with_name(f"{target.name}.partial")
    try:
        source = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        copy = sqlite3.connect(partial)
        try:
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_master").fetchone()  # from here on it sees one moment
            source.backup(copy, pages=_PAGES, sleep=0.005)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
            source.close()
        _make_durable(partial)
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"{target}: {error}", code="eim.backup_failed") from None
    return target.stat().st_size


async def put_back(source: Path, store: str, clock: Clock, *, leap: int = COUNTER_LEAP) -> int:
    """A backup in the place of the database, safe to serve from; how many devices go on.

    It is checked and its counters leap beside that place, where it comes in one step: a cut leaves no
    database from which a server could give out counters anew.
    """
    if is_server(store):
        raise Refused(
            "a PostgreSQL database is restored with its own tools; then `keim eim restore` without a file",
            code="eim.backup_by_database",
        )
    # Also what SQLite keeps beside a database: it would be taken for a part of the restored one.
    for name in (store, *_beside(store)):
        if Path(name).exists():
            raise Refused(f"{name} exists already; move it away first", code="eim.backup_exists")
    partial = f"{store}.partial"
    try:
        _copy(source, partial)
        count = await go_on(partial, clock, leap=leap)
        _make_durable(Path(partial))
        Path(partial).replace(store)
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"{source}: {error}", code="eim.backup_failed") from None
    finally:
        for name in (partial, *_beside(partial)):
            Path(name).unlink(missing_ok=True)
    return count


def _copy(source: Path, target: str) -> None:
    """Of a whole database of an eIM, and of nothing else."""
    Path(target).unlink(missing_ok=True)
    opened = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    copy = sqlite3.connect(target)
    try:
        opened.backup(copy)
        fault = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if fault != "ok":
            raise StoreFailed(f"{source} is damaged: {fault}", code="eim.backup_failed")
        if not copy.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'eim_devices'").fetchone()[0]:
            raise StoreFailed(f"{source} is no database of an eIM", code="eim.backup_failed")
    finally:
        copy.close()
        opened.close()


def _make_durable(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _beside(store: str) -> tuple[str, ...]:
    return f"{store}-wal", f"{store}-shm"


async def go_on(store_at: str, clock: Clock, *, leap: int = COUNTER_LEAP) -> int:
    """Makes a restored database safe to serve from; how many devices go on. No server may run meanwhile."""
    store = EimStore(await open_engine(store_at))
    try:
        await store.prepare()
        count, after = 0, ""
        while True:
            devices = await store.devices(after=after, limit=LOT)
            if not devices:
                return count
            rows: dict[str, list[Row]] = defaultdict(list)
            events: dict[str, list[Event]] = defaultdict(list)
            for device in devices:
                if device.state is DeviceState.ARCHIVED:
                    continue
                changed, given_up, restored = after_restore(device, now=clock.now(), leap=leap)
                rows[device.tenant].append(changed)
                if given_up is not None:
                    rows[device.tenant].append(given_up)
                events[device.tenant].append(restored)
                count += 1
            for tenant, changes in rows.items():
                told = tuple(events[tenant])
                try:
                    await store.commit(Decision(reply=None, rows=tuple(changes), events=told, tenant=tenant))
                except Conflict:
                    raise Refused(
                        f"{store_at}: a device has just changed, so a server works on it; stop that first",
                        code="eim.backup_of_served",
                    ) from None
            after = devices[-1].eid
    finally:
        await store.engine.close()
