"""The tables of hand-overs; a script that was released is never changed."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE handovers (
        reference TEXT PRIMARY KEY, tenant TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX handovers_of ON handovers (tenant, reference);
    CREATE TABLE handover_leaving (
        handover TEXT NOT NULL, eid TEXT NOT NULL, step TEXT NOT NULL, order_id INTEGER, bundle INTEGER,
        version INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (handover, eid)) {clustered};
    CREATE INDEX handover_leaving_at ON handover_leaving (handover, step, eid);
    CREATE INDEX handover_leaving_in ON handover_leaving (handover, bundle, eid);
    CREATE INDEX handover_leaving_of ON handover_leaving (eid);
    CREATE TABLE handover_bundles (
        handover TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (handover, number));
    CREATE TABLE handover_invitations (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX handover_invitations_of ON handover_invitations (tenant, id);
    CREATE TABLE handover_taken (
        invitation TEXT NOT NULL, bundle TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (invitation, bundle));
    CREATE TABLE handover_arrivals (
        invitation TEXT NOT NULL, eid TEXT NOT NULL, bundle TEXT NOT NULL, step TEXT NOT NULL,
        order_id INTEGER, looked_at INTEGER NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (invitation, eid)) {clustered};
    CREATE INDEX handover_arrivals_at ON handover_arrivals (step, eid);
    CREATE INDEX handover_arrivals_in ON handover_arrivals (invitation, bundle, eid)
    """,
    # 2: what each bundle says, for ever
    """
    CREATE TABLE handover_lines (
        handover TEXT NOT NULL, number INTEGER NOT NULL, eid TEXT NOT NULL, line {octets} NOT NULL,
        PRIMARY KEY (handover, number, eid)) {clustered}
    """,
)
OPEN: Final = "'queued', 'delivered', 'unknown'"
"""States of operations whose end may still come."""
