"""From the configuration to webhooks at work."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final, NamedTuple, get_args

import msgspec

from keim.app.config import Seconds
from keim.app.webhook_delivery import Deliverer
from keim.app.webhook_worker import WebhookWorker
from keim.app.webhooks import Webhooks
from keim.eim.addresses import AddressPolicy
from keim.eim.events import Event
from keim.errors import Refused
from keim.io.event_log import EventLog
from keim.io.key_wrap import KEY_OCTETS, AesKeyWrap
from keim.io.store.engine import Engine
from keim.io.store.open import MEMORY
from keim.io.webhook_sender import WebhookSender
from keim.io.webhook_store import WebhookStore
from keim.seams import Clock, Entropy, KeyWrap

KINDS: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Event))


class WebhooksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[webhooks]`: docs/how-to/webhooks.md."""

    allowed: tuple[str, ...] = ()
    """Names of receivers, `*.example.com` for a domain; empty: all but private ones."""
    allow_private: bool = False
    allow_http: bool = False
    ca_file: str = ""
    """PEM file of authorities that receivers' certificates may have; empty: the system's."""
    timeout_seconds: Seconds = 15.0


class WebhooksAtWork(NamedTuple):
    people: Webhooks
    worker: WebhookWorker


async def open_webhooks(
    engine: Engine, config: WebhooksConfig, *, wrap_key: str, eim_id: str, clock: Clock, entropy: Entropy
) -> WebhooksAtWork:
    """Their tables in this version's form."""
    store = WebhookStore(engine)
    await store.prepare()
    sender = WebhookSender(
        AddressPolicy(frozenset(config.allowed), config.allow_private),
        tls=_trust(config),
        allows_http=config.allow_http,
        timeout_s=config.timeout_seconds,
    )
    deliverer = Deliverer(sender, eim_id=eim_id, key_wrap=_LateKeyWrap(wrap_key), clock=clock)
    log = EventLog(engine)
    people = Webhooks(
        store,
        deliverer,
        kinds=KINDS,
        read_log=log.read,
        log_end=log.end,
        clock=clock,
        entropy=entropy,
    )
    worker = WebhookWorker(
        store,
        deliverer,
        kinds=KINDS,
        read_log=log.read,
        tags_of=log.tags_of,
        clock=clock,
        entropy=entropy,
    )
    return WebhooksAtWork(people, worker)


def _trust(config: WebhooksConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"webhooks.ca_file: {config.ca_file}: {error}", code="config.invalid") from None


class _LateKeyWrap:
    """The wrapping key is made with the first secret: who has no webhooks has no key file."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: KeyWrap | None = None

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        return self._key().wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self._key().unwrap(wrapped, context)

    def _key(self) -> KeyWrap:
        if self._found is None:
            is_lasting = self._where != MEMORY
            self._found = (
                AesKeyWrap.from_file(Path(self._where)) if is_lasting else AesKeyWrap(os.urandom(KEY_OCTETS))
            )
        return self._found
