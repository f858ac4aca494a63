"""How the changed rows of an SM-DP+ are written: as few statements, and as few columns, as will do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keim.io import smdp_writes as writes
from keim.io.smdp_hot_rows import HotRows
from keim.io.store.engine import Statement, as_json, milliseconds
from keim.smdp.events import UNSTORED
from keim.smdp.facts import Decision
from keim.smdp.rows import Call, Contents, Notification, Profile, Session, StoredBody


def statements_of(decision: Decision, hot: HotRows) -> list[Statement]:
    """`hot` may know the rows that are replaced: then only what differs is written."""
    statements = [_STATEMENT_OF[type(row)](row, hot) for row in decision.rows]
    for event in decision.events:
        if not isinstance(event, UNSTORED):
            told = (milliseconds(event.at), event.iccid, as_json(event))
            statements.append(Statement(writes.INSERT_EVENT, told))
    for errand in decision.errands:
        statements.append(Statement(writes.INSERT_ERRAND, (milliseconds(errand.at), as_json(errand))))
    return statements


def _of_profile(row: Profile, hot: HotRows) -> Statement:
    before = hot.profile_before(row)
    if before is not None and (
        before.matching_id == row.matching_id
        and before.eid == row.eid
        and before.ordered_at == row.ordered_at
        and before.owner == row.owner
        and before.profile_type == row.profile_type
    ):
        keys = (as_json(row), row.version, row.iccid, row.version - 1)
        if before.state is row.state:
            return Statement(writes.UPDATE_PROFILE_ROW, keys, 1)
        return Statement(writes.UPDATE_PROFILE_STATE, (str(row.state), *keys), 1)
    ordered_at = None if row.ordered_at is None else milliseconds(row.ordered_at)
    values = (
        str(row.state),
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
        return Statement(writes.INSERT_PROFILE, values, 1)
    return Statement(writes.UPDATE_PROFILE, (*values, row.version - 1), 1)


def _of_session(row: Session, hot: HotRows) -> Statement:
    before = hot.session_before(row)
    if before is not None and before.keep_until == row.keep_until:
        keys = (row.iccid, as_json(row), row.version, row.transaction_id, row.version - 1)
        return Statement(writes.UPDATE_SESSION_ROW, keys, 1)
    values = (row.iccid, milliseconds(row.keep_until), as_json(row), row.version, row.transaction_id)
    if row.version == 1:
        return Statement(writes.INSERT_SESSION, values, 1)
    return Statement(writes.UPDATE_SESSION, (*values, row.version - 1), 1)


def _of_notification(row: Notification, _hot: HotRows) -> Statement:
    kept = (row.eid, row.seq_number, row.iccid, milliseconds(row.received_at), as_json(row))
    return Statement(writes.INSERT_NOTIFICATION, kept, 1)


def _of_contents(row: Contents, _hot: HotRows) -> Statement:
    return Statement(
        "INSERT INTO smdp_contents (iccid, row) VALUES (?, ?)"
        " ON CONFLICT (iccid) DO UPDATE SET row = excluded.row",
        (row.iccid, as_json(row)),
    )


def _of_body(row: StoredBody, _hot: HotRows) -> Statement:
    return Statement(
        "INSERT INTO smdp_bodies (iccid, octets) VALUES (?, ?)"
        " ON CONFLICT (iccid) DO UPDATE SET octets = excluded.octets",
        (row.iccid, row.octets),
    )


def _of_call(row: Call, _hot: HotRows) -> Statement:
    return Statement(
        "INSERT INTO smdp_calls (caller, identifier, at, row) VALUES (?, ?, ?, ?)",
        (row.caller, row.identifier, milliseconds(row.at), as_json(row)),
        1,
    )


_STATEMENT_OF: Final[dict[type, Callable[[Any, HotRows], Statement]]] = {
    Profile: _of_profile,
    Session: _of_session,
    Notification: _of_notification,
    Contents: _of_contents,
    StoredBody: _of_body,
    Call: _of_call,
}
