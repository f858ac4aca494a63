"""The rows of an SM-DS in a database, on whichever engine; see keim.io.smdp_store for the manner."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.io.store.engine import Engine, Statement, as_json, milliseconds
from keim.smds.rows import Decision, Errand, EventRecord, Facts, Removal, Session, Wanted

MIGRATIONS: Final = (
    """
    CREATE TABLE smds_events (
        eid TEXT NOT NULL, event_id TEXT NOT NULL, expires_at INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (eid, event_id));
    CREATE INDEX smds_event_ends ON smds_events (expires_at);
    CREATE TABLE smds_sessions (
        transaction_id {octets} PRIMARY KEY, keep_until INTEGER NOT NULL, version INTEGER NOT NULL,
        row TEXT NOT NULL);
    CREATE INDEX smds_session_ends ON smds_sessions (keep_until);
    CREATE TABLE smds_history (id {serial}, at INTEGER NOT NULL, eid TEXT NOT NULL, row TEXT NOT NULL);
    CREATE TABLE smds_errands (
        id {serial}, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX smds_errands_due ON smds_errands (due_at)
    """,
)


class DueErrand(msgspec.Struct, frozen=True):
    id: int
    attempts: int
    errand: Errand


class SmdsStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def prepare(self) -> None:
        await self.engine.migrate("smds", MIGRATIONS)

    async def load(self, wanted: Wanted) -> Facts:
        session = None
        events: tuple[EventRecord, ...] = ()
        if wanted.transaction_id is not None:
            rows = await self.engine.fetch(
                "SELECT row FROM smds_sessions WHERE transaction_id = ?", wanted.transaction_id
            )
            session = msgspec.json.decode(rows[0][0], type=Session) if rows else None
        if wanted.eid is not None:
            events = await self.events_of(wanted.eid)
        return Facts(session=session, events=events)

    async def events_of(self, eid: str) -> tuple[EventRecord, ...]:
        rows = await self.engine.fetch("SELECT row FROM smds_events WHERE eid = ?", eid)
        records = [msgspec.json.decode(row[0], type=EventRecord) for row in rows]
        return tuple(sorted(records, key=lambda record: (record.registered_at, record.event_id)))

    async def commit(self, decision: Decision) -> None:
        statements = [_statement(row) for row in decision.rows]
        statements += [
            Statement(
                "INSERT INTO smds_history (at, eid, row) VALUES (?, ?, ?)",
                (milliseconds(item.at), item.eid, as_json(item)),
            )
            for item in decision.happened
        ]
        statements += [
            Statement(
                "INSERT INTO smds_errands (due_at, attempts, row) VALUES (?, ?, ?)",
                (milliseconds(errand.at), 0, as_json(errand)),
            )
            for errand in decision.errands
        ]
        await self.engine.commit(statements)

    async def purge(self, now: datetime) -> None:
        at = milliseconds(now)
        await self.engine.commit(
            [
                Statement("DELETE FROM smds_sessions WHERE keep_until < ?", (at,)),
                Statement("DELETE FROM smds_events WHERE expires_at < ?", (at,)),
            ]
        )

    async def count(self) -> int:
        return int((await self.engine.fetch("SELECT COUNT(*) FROM smds_events"))[0][0])

    async def due_errands(self, now: datetime, limit: int = 100) -> list[DueErrand]:
        rows = await self.engine.fetch(
            f"SELECT id, attempts, row FROM smds_errands WHERE due_at <= ? ORDER BY id LIMIT {limit:d}",
            milliseconds(now),
        )
        return [DueErrand(row[0], row[1], msgspec.json.decode(row[2], type=Errand)) for row in rows]

    async def errand_done(self, due: DueErrand) -> None:
        await self.engine.commit([Statement("DELETE FROM smds_errands WHERE id = ?", (due.id,))])

    async def errand_failed(self, due: DueErrand, next_try: datetime) -> None:
        await self.engine.commit(
            [
                Statement(
                    "UPDATE smds_errands SET attempts = ?, due_at = ? WHERE id = ?",
                    (due.attempts + 1, milliseconds(next_try), due.id),
                )
            ]
        )


def _statement(row: EventRecord | Session | Removal) -> Statement:
    match row:
        case EventRecord():
            return Statement(
                "INSERT INTO smds_events (eid, event_id, expires_at, row) VALUES (?, ?, ?, ?)",
                (row.eid, row.event_id, milliseconds(row.expires_at), as_json(row)),
                1,
            )
        case Removal():
            return Statement(
                "DELETE FROM smds_events WHERE eid = ? AND event_id = ?", (row.eid, row.event_id), 1
            )
        case Session():
            values = (milliseconds(row.expires_at), as_json(row), row.version, row.transaction_id)
            if row.version == 1:
                return Statement(
                    "INSERT INTO smds_sessions (keep_until, row, version, transaction_id)"
                    " VALUES (?, ?, ?, ?)",
                    values,
                    1,
                )
            return Statement(
                "UPDATE smds_sessions SET keep_until = ?, row = ?, version = ?"
                " WHERE transaction_id = ? AND version = ?",
                (*values, row.version - 1),
                1,
            )
