"""Delivers webhooks: reads each tenant's log from where a webhook stands; at least once, in order.

The outbox is the log itself: an event is delivered because it is there, so none is lost and nothing is
written twice. One worker at a time holds a lease; the next takes over when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.app.status import periodically
from keim.app.webhook_delivery import Deliverer, ReadLog, told
from keim.eim.webhooks import message, schedule
from keim.eim.webhooks.message import Logged
from keim.eim.webhooks.rows import Progress, Webhook, WebhookState
from keim.errors import KeimError
from keim.io.store.engine import Conflict, Entry
from keim.io.webhook_store import WebhookStore
from keim.seams import Clock, Entropy

TagsOf = Callable[[str, str], Awaitable[Collection[str]]]
"""(tenant, EID) -> tags."""

PAUSE_S: Final = 0.5
LOT: Final = 200
STRETCHES: Final = 100
"""Of the log in one go, where a webhook wants little of it."""
LEASE: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=30)

_log = logging.getLogger("keim.webhooks")


class WebhookWorker:
    def __init__(
        self,
        store: WebhookStore,
        deliverer: Deliverer,
        *,
        kinds: Collection[str],
        read_log: ReadLog,
        tags_of: TagsOf,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self._kinds = kinds
        self._read_log = read_log
        self._tags_of = tags_of
        self._clock = clock
        self._entropy = entropy
        self._holder = entropy.bytes(8).hex()
        self._lease_until: datetime | None = None
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(periodically(PAUSE_S, self.tick, "webhooks"))
                together.create_task(periodically(3600.0, self.purge, "webhook deliveries"))
        finally:
            await self.close()

    async def tick(self) -> int:
        """Starts what is due, one task for each webhook; how many were started."""
        now = self._clock.now()
        self._lease_until = await self._store.take_lease(self._holder, now, LEASE)
        if self._lease_until is None:
            return 0
        started = 0
        for webhook, progress in await self._store.due(now):
            key = (webhook.tenant, webhook.id)
            if key not in self._running:
                task = asyncio.create_task(self._serve(webhook, progress))
                self._running[key] = task
                task.add_done_callback(lambda _, key=key: self._running.pop(key, None))  # type: ignore[misc]  # key is bound here
                started += 1
        return started

    async def drain(self) -> None:
        """Waits for what `tick` has started."""
        while self._running:
            await asyncio.gather(*self._running.values())

    async def close(self) -> None:
        for task in list(self._running.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._deliverer.sender.close()

    async def purge(self) -> None:
        await self._store.purge(self._clock.now(), keep=KEPT)

    async def _serve(self, webhook: Webhook, progress: Progress) -> None:
        """A lot of events, up to the first that cannot be delivered; what remains is the next tick's."""
        try:
            await self._serve_lot(webhook, progress)
        except Conflict:
            pass  # a person has changed it meanwhile: the next tick sees how
        except KeimError as fault:
            fields = {"event": "webhook_failed", "webhook": webhook.id, "code": fault.code}
            _log.error(json.dumps(fields))

    async def _serve_lot(self, webhook: Webhook, progress: Progress) -> None:
        kinds = message.kinds_of(webhook, self._kinds)
        for _ in range(STRETCHES):
            stretch = await self._read_log(webhook.tenant, progress.after, LOT, kinds)
            passed = progress
            for logged in stretch.events:
                if not await self._is_wanted(webhook, logged):
                    passed = schedule.delivered(passed, logged.leaf)
                    continue
                if not self._holds_lease():
                    return
                if passed is not progress:
                    progress = await self._passed(_one_step(progress, passed))
                passed = progress = await self._attempt(webhook, progress, logged)
                if progress.after != logged.leaf:
                    return
            if stretch.reached > passed.after:
                passed = schedule.delivered(passed, stretch.reached)
            if passed is progress:
                return  # there is no more
            progress = await self._passed(_one_step(progress, passed))
            await asyncio.sleep(0)  # whoever else is on this loop gets its turn

    def _holds_lease(self) -> bool:
        return self._lease_until is not None and self._clock.now() < self._lease_until

    async def _is_wanted(self, webhook: Webhook, logged: Logged) -> bool:
        if not message.wants_kind(webhook, logged.kind) or message.is_about(webhook, logged):
            return False
        if not webhook.tags:
            return True
        tags = () if logged.eid is None else await self._tags_of(webhook.tenant, logged.eid)
        return message.wants_tags(webhook, tags)

    async def _attempt(self, webhook: Webhook, progress: Progress, logged: Logged) -> Progress:
        delivery, retry_after = await self._deliverer.deliver(
            webhook,
            logged,
            id_=message.event_id(webhook.tenant, logged.leaf),
            attempt=progress.attempts + 1,
            cause="event",
        )
        if delivery.has_succeeded:
            after = schedule.delivered(progress, logged.leaf)
        else:
            after = schedule.failed(
                progress,
                self._clock.now(),
                status=delivery.status,
                retry_after=retry_after,
                jitter=self._entropy.bytes(1)[0] / 255,
            )
        news: list[Entry] = []
        if after.state is WebhookState.PAUSED:
            news = told(webhook, "paused", self._clock.now(), reason=after.reason)
        await self._store.move(after, delivery, news)
        return after

    async def _passed(self, progress: Progress) -> Progress:
        await self._store.move(progress)
        return progress


def _one_step(before: Progress, after: Progress) -> Progress:
    """Several leaves were passed over without a write between them."""
    return msgspec.structs.replace(after, version=before.version + 1)
