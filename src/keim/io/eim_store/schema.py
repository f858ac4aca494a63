"""The tables of an eIM, one script for each version; a script that was released is never changed."""

from __future__ import annotations

from typing import Final

from keim.io.eim_store.old_events import old_events_become_leaves
from keim.io.eim_store.projections import of_old_rows
from keim.io.store.engine import Migration, WhereClustered

OF_LOG: Final = "log || '' = ?"
"""Behind `eid = ?`: so written that the log's own index, which leads through everybody's events, is no choice
for a planner that does not know yet how few are of one device."""
MIGRATIONS: Final[tuple[Migration, ...]] = (
    """
    CREATE TABLE eim_devices (
        ordinal {serial}, eid TEXT NOT NULL UNIQUE, state TEXT NOT NULL, version INTEGER NOT NULL,
        row TEXT NOT NULL);
    CREATE INDEX eim_devices_quarantined ON eim_devices (eid) WHERE state = 'quarantined';
    CREATE TABLE eim_knowledge (eid TEXT PRIMARY KEY, version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE TABLE eim_contacts (eid TEXT PRIMARY KEY, at INTEGER NOT NULL) {clustered};
    CREATE TABLE eim_sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    INSERT INTO eim_sequences VALUES ('order', 0);
    CREATE TABLE eim_orders (
        id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, eid TEXT, state TEXT NOT NULL,
        expires_at INTEGER, row TEXT NOT NULL);
    CREATE INDEX eim_orders_next ON eim_orders (eid, id) WHERE state = 'active';
    CREATE INDEX eim_orders_for_many ON eim_orders (id) WHERE eid IS NULL;
    CREATE TABLE eim_selections (
        reference TEXT NOT NULL, part INTEGER NOT NULL, octets {octets} NOT NULL,
        PRIMARY KEY (reference, part));
    CREATE TABLE eim_operations (
        eid TEXT NOT NULL, order_id INTEGER NOT NULL, state TEXT NOT NULL, counter INTEGER,
        transaction_id {octets} NOT NULL, is_of_many INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (eid, order_id)) {clustered};
    CREATE INDEX eim_operations_of_many ON eim_operations (order_id, transaction_id) WHERE is_of_many = 1;
    CREATE TABLE eim_receipts (
        eid TEXT NOT NULL, sequence_number INTEGER NOT NULL, digest {octets} NOT NULL, kind TEXT NOT NULL,
        at INTEGER NOT NULL, is_verified INTEGER NOT NULL, octets {octets} NOT NULL,
        PRIMARY KEY (eid, sequence_number, digest)) {clustered};
    CREATE TABLE eim_relays (
        transaction_id {octets} PRIMARY KEY, keep_until INTEGER NOT NULL, version INTEGER NOT NULL,
        row TEXT NOT NULL);
    CREATE INDEX eim_relay_ends ON eim_relays (keep_until);
    CREATE TABLE eim_errands (
        id {serial}, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, state TEXT NOT NULL,
        address TEXT NOT NULL, row TEXT NOT NULL);
    CREATE INDEX eim_errands_due ON eim_errands (due_at) WHERE state = 'due';
    CREATE TABLE eim_events (id {serial}, at INTEGER NOT NULL, eid TEXT, row TEXT NOT NULL);
    CREATE INDEX eim_events_of ON eim_events (eid, id)
    """,
    # 2: tenants, tags, and the log of events as leaves
    """
    ALTER TABLE eim_devices ADD COLUMN tenant TEXT NOT NULL DEFAULT 'main';
    CREATE INDEX eim_devices_of ON eim_devices (tenant, ordinal);
    ALTER TABLE eim_orders ADD COLUMN tenant TEXT NOT NULL DEFAULT 'main';
    CREATE INDEX eim_orders_of ON eim_orders (tenant, id);
    CREATE TABLE eim_tags (
        tenant TEXT NOT NULL, tag TEXT NOT NULL, ordinal INTEGER NOT NULL,
        PRIMARY KEY (tenant, tag, ordinal)) {clustered};
    CREATE INDEX eim_tags_of ON eim_tags (ordinal);
    ALTER TABLE eim_events RENAME TO eim_events_1;
    DROP INDEX eim_events_of;
    CREATE TABLE eim_logs (log TEXT PRIMARY KEY, size INTEGER NOT NULL, edge {octets} NOT NULL) {clustered};
    CREATE TABLE eim_events (
        log TEXT NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, eid TEXT, kind TEXT NOT NULL,
        leaf {octets} NOT NULL, hash {octets} NOT NULL,
        PRIMARY KEY (log, id)) {clustered};
    CREATE INDEX eim_events_of ON eim_events (eid, id);
    CREATE TABLE eim_objects (digest {octets} PRIMARY KEY, octets {octets} NOT NULL) {clustered};
    CREATE TABLE eim_checkpoints (
        log TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL, note {octets} NOT NULL,
        PRIMARY KEY (log, size)) {clustered}
    """,
    old_events_become_leaves,
    "DROP TABLE eim_events_1",
    # 3: what people search devices by; planned orders; how often a device calls
    """
    CREATE TABLE eim_profiles (iccid TEXT NOT NULL, eid TEXT NOT NULL, PRIMARY KEY (iccid, eid)) {clustered};
    CREATE INDEX eim_profiles_of ON eim_profiles (eid);
    CREATE TABLE eim_alarms (
        tenant TEXT NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (tenant, ordinal)) {clustered};
    CREATE INDEX eim_devices_apart ON eim_devices (tenant, ordinal) WHERE state <> 'active';
    ALTER TABLE eim_orders ADD COLUMN due_at INTEGER;
    CREATE INDEX eim_orders_planned ON eim_orders (eid, id) WHERE state = 'planned';
    CREATE INDEX eim_orders_due ON eim_orders (due_at) WHERE due_at IS NOT NULL;
    ALTER TABLE eim_contacts ADD COLUMN gap INTEGER NOT NULL DEFAULT 0
    """,
    of_old_rows,
    # 4: long rows lie in the order in which they come
    WhereClustered(
        """
        ALTER TABLE eim_events RENAME TO eim_events_3;
        CREATE TABLE eim_events (
            log TEXT NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, eid TEXT, kind TEXT NOT NULL,
            leaf {octets} NOT NULL, hash {octets} NOT NULL,
            PRIMARY KEY (log, id));
        INSERT INTO eim_events (log, id, at, eid, kind, leaf, hash)
            SELECT log, id, at, eid, kind, leaf, hash FROM eim_events_3 ORDER BY log, id;
        DROP TABLE eim_events_3;
        CREATE INDEX eim_events_of ON eim_events (eid, id);
        ALTER TABLE eim_operations RENAME TO eim_operations_3;
        CREATE TABLE eim_operations (
            eid TEXT NOT NULL, order_id INTEGER NOT NULL, state TEXT NOT NULL, counter INTEGER,
            transaction_id {octets} NOT NULL, is_of_many INTEGER NOT NULL, row TEXT NOT NULL,
            PRIMARY KEY (eid, order_id));
        INSERT INTO eim_operations (eid, order_id, state, counter, transaction_id, is_of_many, row)
            SELECT eid, order_id, state, counter, transaction_id, is_of_many, row
            FROM eim_operations_3 ORDER BY eid, order_id;
        DROP TABLE eim_operations_3;
        CREATE INDEX eim_operations_of_many ON eim_operations (order_id, transaction_id) WHERE is_of_many = 1;
        ALTER TABLE eim_receipts RENAME TO eim_receipts_3;
        CREATE TABLE eim_receipts (
            eid TEXT NOT NULL, sequence_number INTEGER NOT NULL, digest {octets} NOT NULL, kind TEXT NOT NULL,
            at INTEGER NOT NULL, is_verified INTEGER NOT NULL, octets {octets} NOT NULL,
            PRIMARY KEY (eid, sequence_number, digest));
        INSERT INTO eim_receipts (eid, sequence_number, digest, kind, at, is_verified, octets)
            SELECT eid, sequence_number, digest, kind, at, is_verified, octets
            FROM eim_receipts_3 ORDER BY eid, sequence_number, digest;
        DROP TABLE eim_receipts_3
        """
    ),
)
