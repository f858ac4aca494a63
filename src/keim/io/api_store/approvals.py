"""Approvals in the database: each change with its event, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from keim.eim.events import Event
from keim.io.api_store.rows import Approval, ApprovalState
from keim.io.eim_store.leaves import entry_of
from keim.io.store.engine import Engine, Statement, as_json, milliseconds

_LOT = 100


class ApprovalStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._approval = msgspec.json.Decoder(Approval).decode

    async def put(self, approval: Approval, events: Sequence[Event] = ()) -> None:
        """A new one (version 1) or a changed one; `Conflict` if somebody was faster."""
        entries = [entry_of(event, approval.tenant) for event in events]
        await self.engine.commit([statement_of(approval)], entries)

    async def get(self, id_: str) -> Approval | None:
        rows = await self.engine.fetch("SELECT row FROM api_approvals WHERE id = ?", id_)
        return self._approval(rows[0][0]) if rows else None

    async def page(
        self, tenant: str, *, state: ApprovalState | None = None, after: str = "", limit: int = 100
    ) -> list[Approval]:
        """Oldest first: ids begin with the time."""
        chosen, more = ("AND state = ?", (state.value,)) if state is not None else ("", ())
        rows = await self.engine.fetch(
            f"SELECT row FROM api_approvals WHERE tenant = ? AND id > ? {chosen} ORDER BY id LIMIT {limit:d}",
            tenant,
            after,
            *more,
        )
        return [self._approval(row[0]) for row in rows]

    async def waiting_for(self, tenant: str, kind: str, subject: str) -> Approval | None:
        rows = await self.engine.fetch(
            "SELECT row FROM api_approvals WHERE is_open = 1 AND tenant = ?", tenant
        )
        found = (self._approval(row[0]) for row in rows)
        return next((one for one in found if (one.kind, one.subject) == (kind, subject)), None)

    async def overdue(self, now: datetime) -> list[Approval]:
        """Waiting ones whose time is over."""
        rows = await self.engine.fetch(
            f"SELECT row FROM api_approvals WHERE is_open = 1 AND expires_at <= ? ORDER BY id LIMIT {_LOT}",
            milliseconds(now),
        )
        return [self._approval(row[0]) for row in rows]


def statement_of(approval: Approval) -> Statement:
    values = (
        approval.state.value,
        int(approval.state is ApprovalState.WAITING),
        milliseconds(approval.expires_at),
        approval.version,
        as_json(approval),
        approval.id,
    )
    if approval.version == 1:
        return Statement(
            "INSERT INTO api_approvals (state, is_open, expires_at, version, row, id, tenant)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, approval.tenant),
            1,
        )
    return Statement(
        "UPDATE api_approvals SET state = ?, is_open = ?, expires_at = ?, version = ?, row = ?"
        " WHERE id = ? AND version = ?",
        (*values, approval.version - 1),
        1,
    )
