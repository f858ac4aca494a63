"""The rows of the hot path as they are written: each in the form for one and in the form for many at once.

The form for many is PostgreSQL's alone (keim.io.store.engine.Write). Imports keim.io.store.engine only.
"""

from __future__ import annotations

from typing import Final

from keim.io.store.engine import Write

INSERT_DEVICE: Final = Write(
    "INSERT INTO eim_devices (state, row, version, eid, tenant) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (eid) DO NOTHING",
    "state text, row text, version bigint, eid text, tenant text",
    "INSERT INTO eim_devices (state, row, version, eid, tenant) SELECT * FROM {rows}"
    " ON CONFLICT (eid) DO NOTHING RETURNING eid",
    key=3,
)
UPDATE_DEVICE: Final = Write(
    "UPDATE eim_devices SET state = ?, row = ?, version = ? WHERE eid = ? AND version = ?",
    "state text, row text, version bigint, eid text, before bigint",
    "UPDATE eim_devices AS d SET state = v.state, row = v.row, version = v.version"
    " FROM {rows} WHERE d.eid = v.eid AND d.version = v.before RETURNING d.eid",
    key=3,
)
INSERT_KNOWLEDGE: Final = Write(
    "INSERT INTO eim_knowledge (row, version, eid) VALUES (?, ?, ?) ON CONFLICT (eid) DO NOTHING",
    "row text, version bigint, eid text",
    "INSERT INTO eim_knowledge (row, version, eid) SELECT * FROM {rows}"
    " ON CONFLICT (eid) DO NOTHING RETURNING eid",
    key=2,
)
UPDATE_KNOWLEDGE: Final = Write(
    "UPDATE eim_knowledge SET row = ?, version = ? WHERE eid = ? AND version = ?",
    "row text, version bigint, eid text, before bigint",
    "UPDATE eim_knowledge AS k SET row = v.row, version = v.version"
    " FROM {rows} WHERE k.eid = v.eid AND k.version = v.before RETURNING k.eid",
    key=2,
)
INSERT_RELAY: Final = Write(
    "INSERT INTO eim_relays (keep_until, row, version, transaction_id) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (transaction_id) DO NOTHING",
    "keep_until bigint, row text, version bigint, transaction_id bytea",
    "INSERT INTO eim_relays (keep_until, row, version, transaction_id) SELECT * FROM {rows}"
    " ON CONFLICT (transaction_id) DO NOTHING RETURNING transaction_id",
    key=3,
)
UPDATE_RELAY: Final = Write(
    "UPDATE eim_relays SET keep_until = ?, row = ?, version = ? WHERE transaction_id = ? AND version = ?",
    "keep_until bigint, row text, version bigint, transaction_id bytea, before bigint",
    "UPDATE eim_relays AS r SET keep_until = v.keep_until, row = v.row, version = v.version"
    " FROM {rows} WHERE r.transaction_id = v.transaction_id AND r.version = v.before"
    " RETURNING r.transaction_id",
    key=3,
)
OPERATION: Final = Write(
    "INSERT INTO eim_operations (eid, order_id, state, counter, transaction_id, is_of_many, row)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (eid, order_id) DO UPDATE SET state = excluded.state,"
    " counter = excluded.counter, transaction_id = excluded.transaction_id, row = excluded.row",
    "eid text, order_id bigint, state text, counter bigint, transaction_id bytea, is_of_many bigint,"
    " row text",
    "INSERT INTO eim_operations (eid, order_id, state, counter, transaction_id, is_of_many, row)"
    " SELECT * FROM {rows} ON CONFLICT (eid, order_id) DO UPDATE SET state = excluded.state,"
    " counter = excluded.counter, transaction_id = excluded.transaction_id, row = excluded.row",
)
MOVE: Final = Write(
    "UPDATE eim_orders SET state = ?, due_at = NULL WHERE id = ? AND state = ?",
    "after text, id bigint, before text",
    "UPDATE eim_orders AS o SET state = v.after, due_at = NULL"
    " FROM {rows} WHERE o.id = v.id AND o.state = v.before RETURNING o.id",
    key=1,
)
STILL_ACTIVE: Final = Write(
    "UPDATE eim_orders SET expires_at = expires_at WHERE id = ? AND state = 'active'",
    "id bigint",
    "SELECT o.id FROM eim_orders AS o WHERE o.id IN (SELECT v.id FROM {rows}) AND o.state = 'active'"
    " FOR SHARE OF o",
    key=0,
    is_exclusive=False,
)
"""Until these changes are durable nobody cancels the order: who cancels waits, and finds them (PostgreSQL's
lock of the row; SQLite has one writer)."""
ERRAND: Final = Write(
    "INSERT INTO eim_errands (due_at, attempts, state, address, row)"
    " SELECT CAST(? AS BIGINT), 0, 'due', CAST(? AS TEXT), CAST(? AS TEXT) WHERE NOT EXISTS"
    " (SELECT 1 FROM eim_receipts WHERE eid = ? AND sequence_number = ? AND digest = ?)",
    "due_at bigint, address text, row text, eid text, sequence_number bigint, digest bytea",
    "INSERT INTO eim_errands (due_at, attempts, state, address, row)"
    " SELECT v.due_at, 0, 'due', v.address, v.row FROM {rows} WHERE NOT EXISTS"
    " (SELECT 1 FROM eim_receipts AS r WHERE r.eid = v.eid AND r.sequence_number = v.sequence_number"
    " AND r.digest = v.digest)",
    rank=-1,
)
"""Only for a notification that was not held before: it looks before the receipt is written."""
RECEIPT: Final = Write(
    "INSERT INTO eim_receipts (eid, sequence_number, digest, kind, at, is_verified, octets)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (eid, sequence_number, digest) DO NOTHING",
    "eid text, sequence_number bigint, digest bytea, kind text, at bigint, is_verified bigint, octets bytea",
    "INSERT INTO eim_receipts (eid, sequence_number, digest, kind, at, is_verified, octets)"
    " SELECT * FROM {rows} ON CONFLICT (eid, sequence_number, digest) DO NOTHING",
)
TAG: Final = Write(
    "INSERT INTO eim_tags (tenant, tag, ordinal)"
    " SELECT tenant, CAST(? AS TEXT), ordinal FROM eim_devices WHERE eid = ?",
    "tag text, eid text",
    "INSERT INTO eim_tags (tenant, tag, ordinal)"
    " SELECT d.tenant, v.tag, d.ordinal FROM {rows} JOIN eim_devices AS d ON d.eid = v.eid",
    rank=2,
)
NO_TAGS: Final = Write(
    "DELETE FROM eim_tags WHERE ordinal = (SELECT ordinal FROM eim_devices WHERE eid = ?)",
    "eid text",
    "DELETE FROM eim_tags AS t USING {rows}, eim_devices AS d WHERE d.eid = v.eid AND t.ordinal = d.ordinal",
    rank=1,
)
ALARM: Final = Write(
    "INSERT INTO eim_alarms (tenant, ordinal) SELECT tenant, ordinal FROM eim_devices WHERE eid = ?"
    " ON CONFLICT DO NOTHING",
    "eid text",
    "INSERT INTO eim_alarms (tenant, ordinal)"
    " SELECT d.tenant, d.ordinal FROM {rows} JOIN eim_devices AS d ON d.eid = v.eid ON CONFLICT DO NOTHING",
    rank=2,
)
NO_ALARM: Final = Write(
    "DELETE FROM eim_alarms WHERE ordinal = (SELECT ordinal FROM eim_devices WHERE eid = ?)",
    "eid text",
    "DELETE FROM eim_alarms AS a USING {rows}, eim_devices AS d"
    " WHERE d.eid = v.eid AND a.ordinal = d.ordinal",
    rank=1,
)
PROFILE: Final = Write(
    "INSERT INTO eim_profiles (iccid, eid) VALUES (?, ?) ON CONFLICT DO NOTHING",
    "iccid text, eid text",
    "INSERT INTO eim_profiles (iccid, eid) SELECT * FROM {rows} ON CONFLICT DO NOTHING",
    rank=2,
)
NO_PROFILE: Final = Write(
    "DELETE FROM eim_profiles WHERE iccid = ? AND eid = ?",
    "iccid text, eid text",
    "DELETE FROM eim_profiles AS p USING {rows} WHERE p.iccid = v.iccid AND p.eid = v.eid",
    rank=1,
)
NO_PROFILES: Final = Write(
    "DELETE FROM eim_profiles WHERE eid = ?",
    "eid text",
    "DELETE FROM eim_profiles AS p USING {rows} WHERE p.eid = v.eid",
    rank=1,
)
_VISIT_MS: Final = 60_000
"""Calls closer together belong to one visit."""
_GAP: Final = (
    " ON CONFLICT (eid) DO UPDATE SET gap ="
    f" CASE WHEN excluded.at - eim_contacts.at < {_VISIT_MS:d} THEN eim_contacts.gap"
    " WHEN eim_contacts.gap = 0 THEN excluded.at - eim_contacts.at"
    " ELSE (3 * eim_contacts.gap + excluded.at - eim_contacts.at) / 4 END, at = excluded.at"
)
"""A rolling estimate of the time between visits, made where the row is, since an idle poll reads nothing."""
CONTACT: Final = Write(
    f"INSERT INTO eim_contacts (eid, at) VALUES (?, ?){_GAP}",
    "eid text, at bigint",
    f"INSERT INTO eim_contacts (eid, at) SELECT * FROM {{rows}} ORDER BY 1{_GAP}",
)
OBJECT: Final = Write(
    "INSERT INTO eim_objects (digest, octets) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
    "digest bytea, octets bytea",
    "INSERT INTO eim_objects (digest, octets) SELECT * FROM {rows} ORDER BY 1"
    " ON CONFLICT (digest) DO NOTHING",
)
