"""How the changed rows of an SM-DP+ are written: as few statements, and as few columns, as will do.

A column that an index covers is written only when it has changed, because writing it means to write the
index as well.
"""

from __future__ import annotations

from typing import Final

from keim.io.smdp_hot_rows import HotRows
from keim.io.store.engine import Statement, as_json, milliseconds
from keim.smdp.events import UNSTORED
from keim.smdp.facts import Decision
from keim.smdp.rows import Call, Contents, Notification, Profile, Row, Session, StoredBody

_INSERT_PROFILE: Final = (
    "INSERT INTO smdp_profiles"
    " (state, profile_type, owner, matching_id, eid, ordered_at, row, version, iccid)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (iccid) DO NOTHING"
)
_UPDATE_PROFILE: Final = (
    "UPDATE smdp_profiles SET state = ?, profile_type = ?, owner = ?, matching_id = ?, eid = ?,"
    " ordered_at = ?, row = ?, version = ? WHERE iccid = ? AND version = ?"
)
_UPDATE_PROFILE_STATE: Final = (
    "UPDATE smdp_profiles SET state = ?, row = ?, version = ? WHERE iccid = ? AND version = ?"
)
_UPDATE_PROFILE_ROW: Final = "UPDATE smdp_profiles SET row = ?, version = ? WHERE iccid = ? AND version = ?"
_INSERT_SESSION: Final = (
    "INSERT INTO smdp_sessions (iccid, keep_until, row, version, transaction_id) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (transaction_id) DO NOTHING"
)
_UPDATE_SESSION: Final = (
    "UPDATE smdp_sessions SET iccid = ?, keep_until = ?, row = ?, version = ?"
    " WHERE transaction_id = ? AND version = ?"
)
_UPDATE_SESSION_ROW: Final = (
    "UPDATE smdp_sessions SET iccid = ?, row = ?, version = ? WHERE transaction_id = ? AND version = ?"
)


def statements_of(decision: Decision, hot: HotRows) -> list[Statement]:
    """`hot` may know the rows that are replaced: then only what differs is written."""
    statements = [_of_row(row, hot) for row in decision.rows]
    events = [event for event in decision.events if not isinstance(event, UNSTORED)]
    if events:
        parameters: list[object] = []
        for event in events:
            parameters += (milliseconds(event.at), event.iccid, as_json(event))
        statements.append(Statement(_insert_events(len(events)), tuple(parameters)))
    for errand in decision.errands:
        statements.append(
            Statement(
                "INSERT INTO smdp_errands (due_at, attempts, row) VALUES (?, ?, ?)",
                (milliseconds(errand.at), 0, as_json(errand)),
            )
        )
    return statements


def _insert_events(count: int) -> str:
    return "INSERT INTO smdp_events (at, iccid, row) VALUES " + ", ".join(["(?, ?, ?)"] * count)


def _of_row(row: Row | StoredBody, hot: HotRows) -> Statement:
    match row:
        case Profile():
            return _of_profile(row, hot.profile_before(row))
        case Session():
            return _of_session(row, hot.session_before(row))
        case Contents():
            return Statement(
                "INSERT INTO smdp_contents (iccid, row) VALUES (?, ?)"
                " ON CONFLICT (iccid) DO UPDATE SET row = excluded.row",
                (row.iccid, as_json(row)),
            )
        case StoredBody():
            return Statement(
                "INSERT INTO smdp_bodies (iccid, octets) VALUES (?, ?)"
                " ON CONFLICT (iccid) DO UPDATE SET octets = excluded.octets",
                (row.iccid, row.octets),
            )
        case Notification():
            return Statement(
                "INSERT INTO smdp_notifications (eid, seq_number, iccid, received_at, row)"
                " VALUES (?, ?, ?, ?, ?)",
                (row.eid, row.seq_number, row.iccid, milliseconds(row.received_at), as_json(row)),
                1,
            )
        case Call():
            return Statement(
                "INSERT INTO smdp_calls (caller, identifier, at, row) VALUES (?, ?, ?, ?)",
                (row.caller, row.identifier, milliseconds(row.at), as_json(row)),
                1,
            )


def _of_profile(row: Profile, before: Profile | None) -> Statement:
    if before is not None and (
        before.matching_id == row.matching_id
        and before.eid == row.eid
        and before.ordered_at == row.ordered_at
        and before.owner == row.owner
        and before.profile_type == row.profile_type
    ):
        keys = (as_json(row), row.version, row.iccid, row.version - 1)
        if before.state is row.state:
            return Statement(_UPDATE_PROFILE_ROW, keys, 1)
        return Statement(_UPDATE_PROFILE_STATE, (row.state.value, *keys), 1)
    ordered_at = None if row.ordered_at is None else milliseconds(row.ordered_at)
    values = (
        row.state.value,
        row.profile_type,
        row.owner,
        row.matching_id,
        row.eid,
        ordered_at,
        as_json(row),
        row.version,
        row.iccid,
    )
    if row.version == 1:
        return Statement(_INSERT_PROFILE, values, 1)
    return Statement(_UPDATE_PROFILE, (*values, row.version - 1), 1)


def _of_session(row: Session, before: Session | None) -> Statement:
    if before is not None and before.keep_until == row.keep_until:
        keys = (row.iccid, as_json(row), row.version, row.transaction_id, row.version - 1)
        return Statement(_UPDATE_SESSION_ROW, keys, 1)
    values = (row.iccid, milliseconds(row.keep_until), as_json(row), row.version, row.transaction_id)
    if row.version == 1:
        return Statement(_INSERT_SESSION, values, 1)
    return Statement(_UPDATE_SESSION, (*values, row.version - 1), 1)
