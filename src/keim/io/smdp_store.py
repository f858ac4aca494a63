"""The rows of an SM-DP+ in a database: statements in the shared dialect, on whichever engine.

A row is kept as JSON beside the few columns that are searched by, so that people can read it and later
versions can add members.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from keim.io.smdp_hot_rows import HotRows
from keim.io.smdp_recall import Recall
from keim.io.smdp_statements import statements_of
from keim.io.store.engine import Change, Engine, Settle, Statement, milliseconds
from keim.smdp.events import Event
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import (
    Call,
    Contents,
    Errand,
    Notification,
    Profile,
    Session,
)

T = TypeVar("T")

MIGRATIONS: Final = (
    """
    CREATE TABLE smdp_profiles (
        iccid TEXT PRIMARY KEY, state TEXT NOT NULL, profile_type TEXT NOT NULL, owner TEXT NOT NULL,
        matching_id TEXT, eid TEXT, ordered_at INTEGER, version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE UNIQUE INDEX smdp_matching_ids ON smdp_profiles (matching_id) WHERE matching_id <> '';
    CREATE INDEX smdp_default_orders ON smdp_profiles (eid) WHERE matching_id = '';
    CREATE INDEX smdp_stock ON smdp_profiles (profile_type, state, iccid);
    CREATE TABLE smdp_contents (iccid TEXT PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE smdp_bodies (iccid TEXT PRIMARY KEY, octets {octets} NOT NULL);
    CREATE TABLE smdp_sessions (
        transaction_id {octets} PRIMARY KEY, iccid TEXT, keep_until INTEGER NOT NULL,
        version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX smdp_session_ends ON smdp_sessions (keep_until);
    CREATE TABLE smdp_notifications (
        eid TEXT NOT NULL, seq_number INTEGER NOT NULL, iccid TEXT, received_at INTEGER NOT NULL,
        row TEXT NOT NULL, PRIMARY KEY (eid, seq_number));
    CREATE TABLE smdp_calls (
        caller TEXT NOT NULL, identifier TEXT NOT NULL, at INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (caller, identifier));
    CREATE TABLE smdp_events (id {serial}, at INTEGER NOT NULL, iccid TEXT, row TEXT NOT NULL);
    CREATE INDEX smdp_events_of ON smdp_events (iccid);
    CREATE TABLE smdp_errands (
        id {serial}, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX smdp_errands_due ON smdp_errands (due_at)
    """,
    "CREATE TABLE smdp_secrets (name TEXT PRIMARY KEY, wrapped {octets} NOT NULL)",
)

_CANDIDATES: Final = 16
"""Available profiles of a type that are looked at for one order."""

_BY_MATCHING_ID: Final = "matching_id = CAST(? AS TEXT) AND matching_id <> ''"
"""The second half says what the index covers; without it all profiles would be read. A bare parameter beside
it would make SQLite plan the statement anew for every value."""
_SESSION_AND_PROFILE: Final = (
    "SELECT s.row, p.row FROM smdp_sessions s LEFT JOIN smdp_profiles p ON p.iccid = s.iccid"
    " WHERE s.transaction_id = ?"
)
_CONTENTS_AND_BODY: Final = (
    "SELECT c.row, b.octets FROM smdp_contents c JOIN smdp_bodies b ON b.iccid = c.iccid WHERE c.iccid = ?"
)


class DueErrand(msgspec.Struct, frozen=True):
    id: int
    attempts: int
    errand: Errand


class SmdpStore:
    """What the SM-DP+'s composition asks of its database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._hot = HotRows()
        self._recall = Recall(engine, self._hot)
        self._profiles = msgspec.json.Decoder(Profile)
        self._sessions = msgspec.json.Decoder(Session)
        self._contents_rows = msgspec.json.Decoder(Contents)

    async def prepare(self) -> None:
        await self.engine.migrate("smdp", MIGRATIONS)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """A wrapped secret of the server's own: `fresh` at the first start of its first process."""
        await self.engine.commit(
            [
                Statement(
                    "INSERT INTO smdp_secrets (name, wrapped) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                    (name, fresh),
                )
            ]
        )
        rows = await self.engine.fetch("SELECT wrapped FROM smdp_secrets WHERE name = ?", name)
        return bytes(rows[0][0])

    async def recall(self, wanted: Sequence[Wanted]) -> list[Facts | None]:
        """As `load`, of requests that came together, from memory: `is_safe` tells what may come of it."""
        return await self._recall.all(wanted)

    def forget(self, wanted: Wanted) -> None:
        self._hot.forget(wanted)

    async def load(self, wanted: Wanted) -> Facts:
        session = profile = matching = notification = call = None
        default_orders: tuple[Profile, ...] = ()
        available: tuple[Profile, ...] = ()
        is_type_known = False
        iccid = wanted.iccid
        if wanted.transaction_id is not None:
            session, profile = await self._session_and_profile(wanted.transaction_id)
        if iccid is not None:
            profile = await self.profile(iccid)
        if wanted.matching_id:
            matching = next(iter(await self._profiles_where(_BY_MATCHING_ID, wanted.matching_id)), None)
        if wanted.default_eid is not None:
            default_orders = await self._profiles_where(
                "matching_id = '' AND eid = ? AND state IN ('released', 'downloaded')"
                " ORDER BY ordered_at, iccid",
                wanted.default_eid,
            )
        if wanted.profile_type is not None:
            available = await self._profiles_where(
                f"profile_type = ? AND state = 'available' ORDER BY iccid LIMIT {_CANDIDATES}",
                wanted.profile_type,
            )
            is_type_known = bool(available) or await self._is_type_known(wanted.profile_type)
        if wanted.notification is not None:
            notification = await self._notification(wanted.notification, session)
        if wanted.call is not None:
            call = await self._one(
                Call, "SELECT row FROM smdp_calls WHERE caller = ? AND identifier = ?", *wanted.call
            )
        subject = matching or next(iter(default_orders), None) or profile
        contents, body = await self._contents(subject, wanted)
        return Facts(
            session=session,
            profile=profile,
            matching=matching,
            default_orders=default_orders,
            available=available,
            is_type_known=is_type_known,
            notification=notification,
            call=call,
            contents=contents,
            body=body,
        )

    async def session(self, transaction_id: bytes) -> Session | None:
        rows = await self.engine.fetch(
            "SELECT row FROM smdp_sessions WHERE transaction_id = ?", transaction_id
        )
        return self._sessions.decode(rows[0][0]) if rows else None

    async def _session_and_profile(self, transaction_id: bytes) -> tuple[Session | None, Profile | None]:
        rows = await self.engine.fetch(_SESSION_AND_PROFILE, transaction_id)
        if not rows:
            return None, None
        session, profile = rows[0]
        return (
            self._sessions.decode(session),
            None if profile is None else self._profiles.decode(profile),
        )

    async def profile(self, iccid: str) -> Profile | None:
        return next(iter(await self._profiles_where("iccid = ?", iccid)), None)

    async def _profiles_where(self, condition: str, *parameters: Any) -> tuple[Profile, ...]:
        rows = await self.engine.fetch(f"SELECT row FROM smdp_profiles WHERE {condition}", *parameters)
        return tuple(self._profiles.decode(row[0]) for row in rows)

    async def _one(self, type_: type[T], sql: str, *parameters: Any) -> T | None:
        rows = await self.engine.fetch(sql, *parameters)
        return msgspec.json.decode(rows[0][0], type=type_) if rows else None

    async def _is_type_known(self, profile_type: str) -> bool:
        return bool(
            await self.engine.fetch(
                "SELECT 1 FROM smdp_profiles WHERE profile_type = ? LIMIT 1", profile_type
            )
        )

    async def _notification(
        self, key: tuple[str | None, int], session: Session | None
    ) -> Notification | None:
        eid = key[0] or (session.eid if session is not None else None)
        if eid is None or not 0 <= key[1] < 1 << 63:
            return None
        return await self._one(
            Notification,
            "SELECT row FROM smdp_notifications WHERE eid = ? AND seq_number = ?",
            eid,
            key[1],
        )

    async def _contents(
        self, profile: Profile | None, wanted: Wanted
    ) -> tuple[Contents | None, bytes | None]:
        if profile is None or not wanted.with_contents:
            return None, None
        if wanted.with_body:
            rows = await self.engine.fetch(_CONTENTS_AND_BODY, profile.iccid)
            if not rows:
                return None, None
            return self._contents_rows.decode(rows[0][0]), bytes(rows[0][1])
        rows = await self.engine.fetch("SELECT row FROM smdp_contents WHERE iccid = ?", profile.iccid)
        return (self._contents_rows.decode(rows[0][0]) if rows else None), None

    async def commit(self, decision: Decision) -> None:
        """All of it in one transaction; `Conflict` when a row has moved on since it was loaded."""
        await self.engine.commit(statements_of(decision, self._hot))
        self._hot.stored(decision)

    def submit(self, decided: Sequence[tuple[Decision, Settle]]) -> None:
        """A lot of decisions, each as `commit` stores it; each is told its outcome."""

        def stored(decision: Decision, settle: Settle, outcome: Exception | None) -> None:
            if outcome is None:
                self._hot.stored(decision)
            settle(outcome)

        self.engine.submit(
            [
                Change(statements_of(decision, self._hot), (), partial(stored, decision, settle))
                for decision, settle in decided
            ]
        )

    async def purge(self, now: datetime) -> None:
        """Sessions whose time is over."""
        await self.engine.commit(
            [Statement("DELETE FROM smdp_sessions WHERE keep_until < ?", (milliseconds(now),))]
        )

    async def due_errands(self, now: datetime, limit: int = 100) -> list[DueErrand]:
        rows = await self.engine.fetch(
            f"SELECT id, attempts, row FROM smdp_errands WHERE due_at <= ? ORDER BY id LIMIT {limit:d}",
            milliseconds(now),
        )
        return [
            DueErrand(id_, attempts, msgspec.json.decode(row, type=Errand)) for id_, attempts, row in rows
        ]

    async def errand_done(self, due: DueErrand) -> None:
        await self.engine.commit([Statement("DELETE FROM smdp_errands WHERE id = ?", (due.id,))])

    async def errand_failed(self, due: DueErrand, next_try: datetime) -> None:
        await self.engine.commit(
            [
                Statement(
                    "UPDATE smdp_errands SET attempts = ?, due_at = ? WHERE id = ?",
                    (due.attempts + 1, milliseconds(next_try), due.id),
                )
            ]
        )

    async def profiles(
        self, *, state: str | None = None, profile_type: str | None = None, after: str = "", limit: int = 1000
    ) -> tuple[Profile, ...]:
        """A page in the order of ICCIDs; `after` is the last one of the page before."""
        condition, parameters = "iccid > ?", [after]
        for column, value in (("state", state), ("profile_type", profile_type)):
            if value is not None:
                condition += f" AND {column} = ?"
                parameters.append(value)
        return await self._profiles_where(f"{condition} ORDER BY iccid LIMIT {limit:d}", *parameters)

    async def counts(self) -> dict[str, int]:
        """Profiles by state."""
        rows = await self.engine.fetch("SELECT state, COUNT(*) FROM smdp_profiles GROUP BY state")
        return {state: int(number) for state, number in rows}

    async def events(self, iccid: str | None = None, after: int = 0) -> AsyncIterator[tuple[int, Event]]:
        condition = "id > ?"
        parameters: list[Any] = [after]
        if iccid is not None:
            condition = "id > ? AND iccid = ?"
            parameters.append(iccid)
        rows = await self.engine.fetch(
            f"SELECT id, row FROM smdp_events WHERE {condition} ORDER BY id LIMIT 1000", *parameters
        )
        for id_, row in rows:
            yield id_, msgspec.json.decode(row, type=Event)
