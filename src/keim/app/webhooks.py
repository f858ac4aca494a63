"""What people do with webhooks: create, change, rotate the secret, pause, resume, test, send again.

`keim.app.webhook_worker` delivers in the background.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from keim.app.webhook_delivery import Deliverer, ReadLog, told
from keim.eim.webhooks import message, schedule, signature
from keim.eim.webhooks.rows import Delivery, Progress, Webhook
from keim.errors import Refused
from keim.io.store.engine import Entry
from keim.io.webhook_store import WebhookStore
from keim.seams import Clock, Entropy

LogEnd = Callable[[str], Awaitable[int]]
"""The last leaf of a tenant's log; -1 for an empty one."""

ROTATION: Final = timedelta(days=1)


class Webhooks:
    def __init__(
        self,
        store: WebhookStore,
        deliverer: Deliverer,
        *,
        kinds: Collection[str],
        read_log: ReadLog,
        log_end: LogEnd,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.store = store
        self._deliverer = deliverer
        self._kinds = kinds
        self._read_log = read_log
        self._log_end = log_end
        self._clock = clock
        self._entropy = entropy

    async def create(
        self,
        tenant: str,
        url: str,
        *,
        types: Sequence[str] = (),
        tags: Sequence[str] = (),
        description: str = "",
        actor: str = "",
    ) -> tuple[Webhook, Progress, str]:
        """The webhook, from the next event on, and its secret, which is shown this once."""
        self._deliverer.sender.check(url)
        id_ = self._entropy.bytes(8).hex()
        secret = self._entropy.bytes(signature.SECRET_OCTETS)
        webhook = Webhook(
            tenant=tenant,
            id=id_,
            url=url,
            created_at=self._clock.now(),
            secret=self._deliverer.wrapped(secret, tenant, id_),
            description=description,
            types=message.checked_types(types, self._kinds),
            tags=message.checked_tags(tags),
        )
        progress = Progress(tenant=tenant, id=id_, after=await self._log_end(tenant))
        await self.store.add(webhook, progress, self._told(webhook, "created", actor))
        return webhook, progress, signature.secret_text(secret)

    async def get(self, tenant: str, id_: str) -> tuple[Webhook, Progress]:
        found = await self.store.get(tenant, id_)
        if found is None:
            raise Refused(f"there is no webhook {id_[:60]!r}", code="webhook.not_found")
        return found

    async def change(
        self,
        webhook: Webhook,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        description: str | None = None,
        actor: str = "",
    ) -> Webhook:
        """`Conflict` if it has been changed since `webhook` was read."""
        members: dict[str, object] = {"version": webhook.version + 1}
        if url is not None:
            self._deliverer.sender.check(url)
            members["url"] = url
        if types is not None:
            members["types"] = message.checked_types(types, self._kinds)
        if tags is not None:
            members["tags"] = message.checked_tags(tags)
        if description is not None:
            members["description"] = description
        changed = msgspec.structs.replace(webhook, **members)
        await self.store.change(changed, self._told(changed, "changed", actor))
        return changed

    async def rotate(
        self, webhook: Webhook, *, actor: str = "", both_for: timedelta = ROTATION
    ) -> tuple[Webhook, str]:
        """A new secret; for a while bodies are signed with the old one too."""
        secret = self._entropy.bytes(signature.SECRET_OCTETS)
        changed = msgspec.structs.replace(
            webhook,
            secret=self._deliverer.wrapped(secret, webhook.tenant, webhook.id),
            previous_secret=webhook.secret,
            previous_until=self._clock.now() + both_for,
            version=webhook.version + 1,
        )
        await self.store.change(changed, self._told(changed, "secret rotated", actor))
        return changed, signature.secret_text(secret)

    async def remove(self, webhook: Webhook, *, actor: str = "") -> None:
        if not await self.store.remove(webhook.tenant, webhook.id, self._told(webhook, "removed", actor)):
            raise Refused(f"there is no webhook {webhook.id}", code="webhook.not_found")

    async def pause(self, webhook: Webhook, progress: Progress, *, actor: str, reason: str = "") -> Progress:
        paused = schedule.paused(progress, reason or f"by {actor}")
        await self.store.move(paused, told=self._told(webhook, "paused", actor, reason))
        return paused

    async def resume(
        self,
        webhook: Webhook,
        progress: Progress,
        *,
        actor: str = "",
        after: int | None = None,
        skips: bool = False,
    ) -> Progress:
        """Where it stopped; after a certain leaf; or (`skips`) only with what happens from now on."""
        end = await self._log_end(progress.tenant)
        if skips:
            after = end
        if after is not None and not -1 <= after <= end:
            raise Refused(f"the log ends with event {end}", code="webhook.position_invalid")
        resumed = schedule.resumed(progress, after=after)
        await self.store.move(resumed, told=self._told(webhook, "resumed", actor))
        return resumed

    def _told(self, webhook: Webhook, what: str, actor: str, reason: str = "") -> list[Entry]:
        return told(webhook, what, self._clock.now(), actor=actor, reason=reason)

    async def test(self, webhook: Webhook) -> Delivery:
        """A test event, at once; the delivery tells what came of it."""
        id_ = f"test-{self._entropy.bytes(8).hex()}"
        delivery, _ = await self._deliverer.deliver(
            webhook, message.trial_event(self._clock.now()), id_=id_, attempt=1, cause="test"
        )
        await self.store.log(delivery)
        return delivery

    async def resend(self, webhook: Webhook, delivery_id: int) -> Delivery:
        """The same event once more, at once, with the same id."""
        known = await self.store.delivery(webhook.tenant, webhook.id, delivery_id)
        if known is None:
            raise Refused(f"there is no delivery {delivery_id}", code="webhook.delivery_not_found")
        if known.leaf is None:
            return await self.test(webhook)
        (logged,) = (await self._read_log(webhook.tenant, known.leaf - 1, 1, ())).events
        again, _ = await self._deliverer.deliver(
            webhook, logged, id_=known.event_id, attempt=known.attempt + 1, cause="resend"
        )
        await self.store.log(again)
        return again
