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
from keim.io.store.open import open_engine
from keim.seams import Clock

LOT = 500
_PAGES = 256


def is_server(where: str) -> bool:
    return where.startswith(("postgresql://", "postgres://"))


def backup(store: str, target: Path) -> int:
    """A consistent copy of the database of a server that may be running; its size in octets."""
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
            source.backup(copy, pages=_PAGES, sleep=0.005)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
            source.close()
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"{target}: {error}", code="eim.backup_failed") from None
    return target.stat().st_size


def put_back(source: Path, store: str) -> None:
    """A backup in the place of the database; never over one that is there."""
    if is_server(store):
        raise Refused(
            "a PostgreSQL database is restored with its own tools; then `keim eim restore` without a file",
            code="eim.backup_by_database",
        )
    if Path(store).exists():
        raise Refused(f"{store} exists already; move it away first", code="eim.backup_exists")
    try:
        opened = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        copy = sqlite3.connect(store)
        try:
            opened.backup(copy)
        finally:
            copy.close()
            opened.close()
    except sqlite3.Error as error:
        raise StoreFailed(f"{source}: {error}", code="eim.backup_failed") from None


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
                await store.commit(Decision(reply=None, rows=tuple(changes), events=told, tenant=tenant))
            after = devices[-1].eid
    finally:
        await store.engine.close()
