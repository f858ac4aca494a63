"""The new eIM's side in the database. Imports keim.eim, keim.io.store and its neighbours only."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.eim.handover.rows import Arrival, Arrived, Guest, Taken
from keim.eim.rows import Operation
from keim.io.handover_store.schema import OPEN
from keim.io.handover_store.signed import SignedStore
from keim.io.store.engine import Engine, Statement, as_json, milliseconds

_NEW_ARRIVAL: Final = (
    "INSERT INTO handover_arrivals (bundle, step, order_id, looked_at, row, version, invitation, eid)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (invitation, eid) DO NOTHING"
)
_ARRIVAL: Final = (
    "UPDATE handover_arrivals SET step = ?, order_id = ?, looked_at = ?, row = ?, version = ?"
    " WHERE invitation = ? AND eid = ? AND version = ?"
)


def arrival_row(row: Arrival) -> Statement:
    at, json = milliseconds(row.at), as_json(row)
    if row.version == 1:
        new = (row.bundle, row.step.value, row.order, at, json, row.version, row.invitation, row.eid)
        return Statement(_NEW_ARRIVAL, new, 1)
    values = (row.step.value, row.order, at, json, row.version, row.invitation, row.eid)
    return Statement(_ARRIVAL, (*values, row.version - 1), 1)


def looked_at(row: Arrival, now: datetime) -> Statement:
    """It called, and there was nothing new yet."""
    return Statement(
        "UPDATE handover_arrivals SET looked_at = ? WHERE invitation = ? AND eid = ? AND version = ?",
        (milliseconds(now), row.invitation, row.eid, row.version),
    )


def guest_row(row: Guest) -> Statement:
    if row.version == 1:
        return Statement(
            "INSERT INTO handover_invitations (id, tenant, version, row) VALUES (?, ?, ?, ?)",
            (row.invitation.id, row.tenant, row.version, as_json(row)),
        )
    return Statement(
        "UPDATE handover_invitations SET version = ?, row = ? WHERE id = ? AND version = ?",
        (row.version, as_json(row), row.invitation.id, row.version - 1),
        1,
    )


def taken_row(row: Taken) -> Statement:
    return Statement(
        "INSERT INTO handover_taken (invitation, bundle, row) VALUES (?, ?, ?)"
        " ON CONFLICT (invitation, bundle) DO UPDATE SET row = excluded.row",
        (row.invitation, row.id, as_json(row)),
    )


class ArrivingStore(SignedStore):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._arrival = msgspec.json.Decoder(Arrival).decode

    async def guest(self, invitation: str) -> Guest | None:
        rows = await self.engine.fetch("SELECT row FROM handover_invitations WHERE id = ?", invitation)
        return msgspec.json.decode(rows[0][0], type=Guest) if rows else None

    async def guests(self, tenant: str, *, after: str = "", limit: int = 100) -> list[Guest]:
        rows = await self.engine.fetch(
            f"SELECT row FROM handover_invitations WHERE tenant = ? AND id > ? ORDER BY id LIMIT {limit:d}",
            tenant,
            after,
        )
        return [msgspec.json.decode(row[0], type=Guest) for row in rows]

    async def taken(self, invitation: str, bundle: str) -> Taken | None:
        rows = await self.engine.fetch(
            "SELECT row FROM handover_taken WHERE invitation = ? AND bundle = ?", invitation, bundle
        )
        return msgspec.json.decode(rows[0][0], type=Taken) if rows else None

    async def all_taken(self, invitation: str) -> list[Taken]:
        rows = await self.engine.fetch(
            "SELECT row FROM handover_taken WHERE invitation = ? ORDER BY bundle", invitation
        )
        return [msgspec.json.decode(row[0], type=Taken) for row in rows]

    async def arrivals(
        self, invitation: str, *, bundle: str | None = None, after: str = "", limit: int = 500
    ) -> list[Arrival]:
        condition, parameters = "invitation = ? AND eid > ?", [invitation, after]
        if bundle is not None:
            condition, parameters = f"{condition} AND bundle = ?", [*parameters, bundle]
        rows = await self.engine.fetch(
            f"SELECT row FROM handover_arrivals WHERE {condition} ORDER BY eid LIMIT {limit:d}", *parameters
        )
        return [self._arrival(row[0]) for row in rows]

    async def arrival(self, invitation: str, eid: str) -> Arrival | None:
        rows = await self.engine.fetch(
            "SELECT row FROM handover_arrivals WHERE invitation = ? AND eid = ?", invitation, eid
        )
        return self._arrival(rows[0][0]) if rows else None

    async def arrival_counts(self, invitation: str) -> dict[str, int]:
        rows = await self.engine.fetch(
            "SELECT step, COUNT(*) FROM handover_arrivals WHERE invitation = ? GROUP BY step", invitation
        )
        return {step: int(count) for step, count in rows}

    async def callers(self, *, after: str = "", limit: int = 500) -> list[Arrival]:
        """Those that have called since they were looked at last, and have not proved themselves yet."""
        rows = await self.engine.fetch(
            "SELECT a.row FROM handover_arrivals a JOIN eim_contacts c ON c.eid = a.eid"
            " WHERE a.step = 'received' AND a.eid > ? AND c.at >= a.looked_at"
            f" ORDER BY a.eid LIMIT {limit:d}",
            after,
        )
        return [self._arrival(row[0]) for row in rows]

    async def arrivals_at(self, step: Arrived, *, after: str = "", limit: int = 500) -> list[Arrival]:
        rows = await self.engine.fetch(
            f"SELECT row FROM handover_arrivals WHERE step = ? AND eid > ? ORDER BY eid LIMIT {limit:d}",
            step.value,
            after,
        )
        return [self._arrival(row[0]) for row in rows]

    async def ended_removals(self, *, after: str = "", limit: int = 500) -> list[tuple[Arrival, Operation]]:
        rows = await self.engine.fetch(
            "SELECT a.row, p.row FROM handover_arrivals a"
            " JOIN eim_operations p ON p.eid = a.eid AND p.order_id = a.order_id"
            f" WHERE a.step = 'removing' AND a.eid > ? AND p.state NOT IN ({OPEN})"
            f" ORDER BY a.eid LIMIT {limit:d}",
            after,
        )
        return [(self._arrival(row), self.operation_in(op)) for row, op in rows]
