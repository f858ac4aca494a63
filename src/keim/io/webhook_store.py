"""Webhooks in the database: what people asked for, how far each has come, what was tried.

Tables of their own (component "webhooks"). Imports keim.eim.webhooks, keim.errors and keim.io.store.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from keim.eim.webhooks.rows import Delivery, Progress, Webhook
from keim.io.store.engine import Conflict, Engine, Entry, Statement, as_json, milliseconds, moment

MIGRATIONS: Final = (
    """
    CREATE TABLE webhooks (
        tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (tenant, id)) {clustered};
    CREATE TABLE webhook_progress (
        tenant TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, next_at INTEGER NOT NULL,
        version INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (tenant, id)) {clustered};
    CREATE INDEX webhook_progress_due ON webhook_progress (next_at) WHERE state = 'active';
    CREATE TABLE webhook_deliveries (
        id {serial}, tenant TEXT NOT NULL, webhook TEXT NOT NULL, at INTEGER NOT NULL,
        has_succeeded INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX webhook_deliveries_of ON webhook_deliveries (tenant, webhook, id);
    CREATE INDEX webhook_deliveries_age ON webhook_deliveries (at);
    CREATE TABLE webhook_lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL);
    INSERT INTO webhook_lease VALUES ('worker', '', 0)
    """,
)
_PROGRESS: Final = (
    "UPDATE webhook_progress SET state = ?, next_at = ?, version = ?, row = ?"
    " WHERE tenant = ? AND id = ? AND version = ?"
)
_DELIVERY: Final = (
    "INSERT INTO webhook_deliveries (tenant, webhook, at, has_succeeded, row) VALUES (?, ?, ?, ?, ?)"
)


class WebhookStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._webhook = msgspec.json.Decoder(Webhook).decode
        self._progress = msgspec.json.Decoder(Progress).decode
        self._delivery = msgspec.json.Decoder(Delivery).decode

    async def prepare(self) -> None:
        await self.engine.migrate("webhooks", MIGRATIONS)

    # what people asked for

    async def add(self, webhook: Webhook, progress: Progress, told: Sequence[Entry] = ()) -> None:
        await self.engine.commit(
            [
                Statement(
                    "INSERT INTO webhooks (tenant, id, version, row) VALUES (?, ?, ?, ?)",
                    (webhook.tenant, webhook.id, webhook.version, as_json(webhook)),
                ),
                Statement(
                    "INSERT INTO webhook_progress (tenant, id, state, next_at, version, row)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        webhook.tenant,
                        webhook.id,
                        progress.state.value,
                        _due(progress),
                        progress.version,
                        as_json(progress),
                    ),
                ),
            ],
            told,
        )

    async def change(self, webhook: Webhook, told: Sequence[Entry] = ()) -> None:
        """`Conflict` if somebody was faster."""
        await self.engine.commit(
            [
                Statement(
                    "UPDATE webhooks SET version = ?, row = ? WHERE tenant = ? AND id = ? AND version = ?",
                    (webhook.version, as_json(webhook), webhook.tenant, webhook.id, webhook.version - 1),
                    1,
                )
            ],
            told,
        )

    async def remove(self, tenant: str, id_: str, told: Sequence[Entry] = ()) -> bool:
        """With all that was logged of it."""
        try:
            await self.engine.commit(
                [
                    Statement("DELETE FROM webhooks WHERE tenant = ? AND id = ?", (tenant, id_), 1),
                    Statement("DELETE FROM webhook_progress WHERE tenant = ? AND id = ?", (tenant, id_)),
                    Statement(
                        "DELETE FROM webhook_deliveries WHERE tenant = ? AND webhook = ?", (tenant, id_)
                    ),
                ],
                told,
            )
        except Conflict:
            return False
        return True

    async def get(self, tenant: str, id_: str) -> tuple[Webhook, Progress] | None:
        found = await self._pairs("w.tenant = ? AND w.id = ?", tenant, id_)
        return found[0] if found else None

    async def of_tenant(
        self, tenant: str, *, after: str = "", limit: int = 1000
    ) -> list[tuple[Webhook, Progress]]:
        return await self._pairs(f"w.tenant = ? AND w.id > ? ORDER BY w.id LIMIT {limit:d}", tenant, after)

    async def due(self, now: datetime, *, limit: int = 1000) -> list[tuple[Webhook, Progress]]:
        return await self._pairs(
            f"p.state = 'active' AND p.next_at <= ? ORDER BY p.next_at, w.tenant, w.id LIMIT {limit:d}",
            milliseconds(now),
        )

    async def _pairs(self, condition: str, *parameters: Any) -> list[tuple[Webhook, Progress]]:
        rows = await self.engine.fetch(
            "SELECT w.row, p.row FROM webhooks w JOIN webhook_progress p"
            f" ON p.tenant = w.tenant AND p.id = w.id WHERE {condition}",
            *parameters,
        )
        return [(self._webhook(webhook), self._progress(progress)) for webhook, progress in rows]

    # how far they have come

    async def move(
        self, progress: Progress, delivery: Delivery | None = None, told: Sequence[Entry] = ()
    ) -> None:
        """`Conflict` if a person has paused, moved or removed it meanwhile."""
        statements = [
            Statement(
                _PROGRESS,
                (
                    progress.state.value,
                    _due(progress),
                    progress.version,
                    as_json(progress),
                    progress.tenant,
                    progress.id,
                    progress.version - 1,
                ),
                1,
            )
        ]
        if delivery is not None:
            statements.append(_logged(delivery))
        await self.engine.commit(statements, told)

    async def log(self, delivery: Delivery) -> None:
        await self.engine.commit([_logged(delivery)])

    async def deliveries(
        self,
        tenant: str,
        webhook: str,
        *,
        before: int | None = None,
        has_succeeded: bool | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """Latest first."""
        condition, parameters = "tenant = ? AND webhook = ?", [tenant, webhook]
        if before is not None:
            condition += f" AND id < {before:d}"
        if has_succeeded is not None:
            condition += f" AND has_succeeded = {int(has_succeeded)}"
        rows = await self.engine.fetch(
            f"SELECT id, row FROM webhook_deliveries WHERE {condition} ORDER BY id DESC LIMIT {limit:d}",
            *parameters,
        )
        return [msgspec.structs.replace(self._delivery(row), id=id_) for id_, row in rows]

    async def delivery(self, tenant: str, webhook: str, id_: int) -> Delivery | None:
        found = await self.deliveries(tenant, webhook, before=id_ + 1, limit=1)
        return found[0] if found and found[0].id == id_ else None

    async def purge(self, now: datetime, *, keep: timedelta) -> None:
        await self.engine.commit(
            [Statement("DELETE FROM webhook_deliveries WHERE at < ?", (milliseconds(now - keep),))]
        )

    # one worker at a time

    async def take_lease(self, holder: str, now: datetime, lasts: timedelta) -> datetime | None:
        """Until when this worker is the one; None while another is."""
        until = now + lasts
        try:
            await self.engine.commit(
                [
                    Statement(
                        "UPDATE webhook_lease SET holder = ?, until = ?"
                        " WHERE name = 'worker' AND (holder = ? OR until < ?)",
                        (holder, milliseconds(until), holder, milliseconds(now)),
                        1,
                    )
                ]
            )
        except Conflict:
            return None
        return moment(milliseconds(until))


def _due(progress: Progress) -> int:
    return 0 if progress.next_at is None else milliseconds(progress.next_at)


def _logged(delivery: Delivery) -> Statement:
    return Statement(
        _DELIVERY,
        (
            delivery.tenant,
            delivery.webhook,
            milliseconds(delivery.at),
            int(delivery.has_succeeded),
            as_json(delivery),
        ),
    )
