"""One delivery of a webhook: the event as a signed CloudEvent, sent once, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta

from keim.eim.events import WebhookChanged
from keim.eim.webhooks import message, signature
from keim.eim.webhooks.message import Logged, Stretch
from keim.eim.webhooks.rows import Delivery, Webhook
from keim.errors import KeimError
from keim.io.eim_store.leaves import entry_of
from keim.io.store.engine import Entry
from keim.io.webhook_sender import WebhookSender
from keim.seams import Clock, KeyWrap
from keim.wire.http import CONTENT_TYPE, HttpResponse

ReadLog = Callable[[str, int, int, Collection[str]], Awaitable[Stretch]]
"""(tenant, after leaf, at most, kinds; none: all)."""


class Deliverer:
    def __init__(self, sender: WebhookSender, *, eim_id: str, key_wrap: KeyWrap, clock: Clock) -> None:
        self.sender = sender
        self._eim_id = eim_id
        self._key_wrap = key_wrap
        self._clock = clock

    def wrapped(self, secret: bytes, tenant: str, id_: str) -> bytes:
        """It opens in its own row only."""
        return self._key_wrap.wrap(secret, _context(tenant, id_))

    async def deliver(
        self, webhook: Webhook, logged: Logged, *, id_: str, attempt: int, cause: str
    ) -> tuple[Delivery, timedelta | None]:
        """The delivery as its log keeps it, and the pause that the receiver asked for."""
        now = self._clock.now()
        body = message.body_of(logged, tenant=webhook.tenant, eim_id=self._eim_id, id_=id_)
        headers = {
            CONTENT_TYPE: message.CLOUD_EVENT,
            "user-agent": "keim-webhooks",
            **signature.headers_of(id_, now, body, self._secrets(webhook, now)),
        }
        answer: HttpResponse | None = None
        error = ""
        try:
            answer = await self.sender.post(webhook.url, headers, body)
        except KeimError as fault:
            error = fault.code
        delivery = Delivery(
            tenant=webhook.tenant,
            webhook=webhook.id,
            event_id=id_,
            type=message.TYPE_PREFIX + logged.kind,
            at=now,
            attempt=attempt,
            milliseconds=(self._clock.now() - now) // timedelta(milliseconds=1),
            status=None if answer is None else answer.status,
            error=error,
            leaf=None if logged.leaf < 0 else logged.leaf,
            cause=cause,
        )
        return delivery, None if answer is None else _retry_after(answer)

    def _secrets(self, webhook: Webhook, now: datetime) -> list[bytes]:
        context = _context(webhook.tenant, webhook.id)
        secrets = [self._key_wrap.unwrap(webhook.secret, context)]
        previous, until = webhook.previous_secret, webhook.previous_until
        if previous is not None and until is not None and now < until:
            secrets.append(self._key_wrap.unwrap(previous, context))
        return secrets


def told(webhook: Webhook, what: str, now: datetime, *, actor: str = "", reason: str = "") -> list[Entry]:
    """For the tenant's log, in the transaction that makes it true."""
    event = WebhookChanged(at=now, actor=actor, reason=reason, webhook=webhook.id, what=what, url=webhook.url)
    return [entry_of(event, webhook.tenant)]


def _context(tenant: str, id_: str) -> bytes:
    return f"webhook/{tenant}/{id_}".encode()


def _retry_after(answer: HttpResponse) -> timedelta | None:
    text = answer.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else None
