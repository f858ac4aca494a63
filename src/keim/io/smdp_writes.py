"""The rows of an SM-DP+ that many requests change at once, each in the form for one and in that for many.

The form for many is PostgreSQL's alone (keim.io.store.engine.Write). A column that an index covers is written
only when it has changed, because writing it means to write the index as well. Imports keim.io.store.engine
only.
"""

from __future__ import annotations

from typing import Final

from keim.io.store.engine import Write

_PROFILE: Final = "state, profile_type, owner, matching_id, eid, ordered_at, row, version, iccid"
_PROFILE_TYPES: Final = (
    "state text, profile_type text, owner text, matching_id text, eid text, ordered_at bigint, row text,"
    " version bigint, iccid text"
)
_SESSION: Final = "iccid, keep_until, row, version, transaction_id"
_NOTIFICATION: Final = "eid, seq_number, iccid, received_at, row"

INSERT_PROFILE: Final = Write(
    f"INSERT INTO smdp_profiles ({_PROFILE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (iccid) DO NOTHING",
    _PROFILE_TYPES,
    f"INSERT INTO smdp_profiles ({_PROFILE}) SELECT * FROM {{rows}}"
    " ON CONFLICT (iccid) DO NOTHING RETURNING iccid",
    key=8,
)
UPDATE_PROFILE: Final = Write(
    "UPDATE smdp_profiles SET state = ?, profile_type = ?, owner = ?, matching_id = ?, eid = ?,"
    " ordered_at = ?, row = ?, version = ? WHERE iccid = ? AND version = ?",
    f"{_PROFILE_TYPES}, before bigint",
    "UPDATE smdp_profiles AS p SET state = v.state, profile_type = v.profile_type, owner = v.owner,"
    " matching_id = v.matching_id, eid = v.eid, ordered_at = v.ordered_at, row = v.row, version = v.version"
    " FROM {rows} WHERE p.iccid = v.iccid AND p.version = v.before RETURNING p.iccid",
    key=8,
)
UPDATE_PROFILE_STATE: Final = Write(
    "UPDATE smdp_profiles SET state = ?, row = ?, version = ? WHERE iccid = ? AND version = ?",
    "state text, row text, version bigint, iccid text, before bigint",
    "UPDATE smdp_profiles AS p SET state = v.state, row = v.row, version = v.version"
    " FROM {rows} WHERE p.iccid = v.iccid AND p.version = v.before RETURNING p.iccid",
    key=3,
)
UPDATE_PROFILE_ROW: Final = Write(
    "UPDATE smdp_profiles SET row = ?, version = ? WHERE iccid = ? AND version = ?",
    "row text, version bigint, iccid text, before bigint",
    "UPDATE smdp_profiles AS p SET row = v.row, version = v.version"
    " FROM {rows} WHERE p.iccid = v.iccid AND p.version = v.before RETURNING p.iccid",
    key=2,
)
INSERT_SESSION: Final = Write(
    f"INSERT INTO smdp_sessions ({_SESSION}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (transaction_id) DO NOTHING",
    "iccid text, keep_until bigint, row text, version bigint, transaction_id bytea",
    f"INSERT INTO smdp_sessions ({_SESSION}) SELECT * FROM {{rows}}"
    " ON CONFLICT (transaction_id) DO NOTHING RETURNING transaction_id",
    key=4,
)
UPDATE_SESSION: Final = Write(
    "UPDATE smdp_sessions SET iccid = ?, keep_until = ?, row = ?, version = ?"
    " WHERE transaction_id = ? AND version = ?",
    "iccid text, keep_until bigint, row text, version bigint, transaction_id bytea, before bigint",
    "UPDATE smdp_sessions AS s SET iccid = v.iccid, keep_until = v.keep_until, row = v.row,"
    " version = v.version FROM {rows} WHERE s.transaction_id = v.transaction_id AND s.version = v.before"
    " RETURNING s.transaction_id",
    key=4,
)
UPDATE_SESSION_ROW: Final = Write(
    "UPDATE smdp_sessions SET iccid = ?, row = ?, version = ? WHERE transaction_id = ? AND version = ?",
    "iccid text, row text, version bigint, transaction_id bytea, before bigint",
    "UPDATE smdp_sessions AS s SET iccid = v.iccid, row = v.row, version = v.version"
    " FROM {rows} WHERE s.transaction_id = v.transaction_id AND s.version = v.before"
    " RETURNING s.transaction_id",
    key=3,
)
INSERT_NOTIFICATION: Final = Write(
    f"INSERT INTO smdp_notifications ({_NOTIFICATION}) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (eid, seq_number) DO NOTHING",
    "eid text, seq_number bigint, iccid text, received_at bigint, row text",
    f"INSERT INTO smdp_notifications ({_NOTIFICATION}) SELECT * FROM {{rows}}"
    " ON CONFLICT (eid, seq_number) DO NOTHING RETURNING eid",
    key=0,
)
"""What one eUICC says at once is kept one after the other."""
INSERT_EVENT: Final = Write(
    "INSERT INTO smdp_events (at, iccid, row) VALUES (?, ?, ?)",
    "at bigint, iccid text, row text",
    "INSERT INTO smdp_events (at, iccid, row) SELECT * FROM {rows}",
)
INSERT_ERRAND: Final = Write(
    "INSERT INTO smdp_errands (due_at, attempts, row) VALUES (?, 0, ?)",
    "due_at bigint, row text",
    "INSERT INTO smdp_errands (due_at, attempts, row) SELECT v.due_at, 0, v.row FROM {rows}",
)
