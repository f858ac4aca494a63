"""A tenant's log as those read it who pass events on: leaves in their order, with the event in JSON."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from keim.audit.leaf import Leaf
from keim.eim.webhooks.message import Logged, Stretch
from keim.io.store.engine import Engine, moment
from keim.io.store.leaf_shelf import whole

SPAN: Final = 20_000
"""Leaves that one question looks at: a filter that lets nothing through must not hold others up."""


class EventLog:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(self, log: str, after: int, limit: int, kinds: Collection[str] = ()) -> Stretch:
        """The next events behind a leaf; with `kinds` only such."""
        top = min(await self.end(log), after + SPAN)
        if top <= after:
            return Stretch((), after)
        marks = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        rows = await self._engine.fetch(
            "SELECT id, at, eid, kind, leaf FROM eim_events WHERE log = ? AND id > ? AND id <= ?"
            f"{marks} ORDER BY id LIMIT {limit:d}",
            log,
            after,
            top,
            *kinds,
        )
        shelf = self._engine.shelf
        events = [
            Logged(id_, moment(at), kind, eid, Leaf.decode(whole(shelf, log, id_, leaf)).detail or b"null")
            for id_, at, eid, kind, leaf in rows
        ]
        return Stretch(events, events[-1].leaf if len(events) >= limit else top)

    async def end(self, log: str) -> int:
        """The last leaf; -1 while the log is empty."""
        rows = await self._engine.fetch("SELECT MAX(id) FROM eim_events WHERE log = ?", log)
        return -1 if rows[0][0] is None else int(rows[0][0])

    async def tags_of(self, tenant: str, eid: str) -> list[str]:
        rows = await self._engine.fetch(
            "SELECT t.tag FROM eim_devices d JOIN eim_tags t ON t.ordinal = d.ordinal AND t.tenant = d.tenant"
            " WHERE d.eid = ? AND d.tenant = ?",
            eid,
            tenant,
        )
        return [row[0] for row in rows]
