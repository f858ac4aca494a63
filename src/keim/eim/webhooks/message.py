"""The body of a delivery: one event of the log as a CloudEvent 1.0 in JSON, and whether a webhook wants it.

Pure; imports its neighbours and keim.errors only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import msgspec

from keim.eim import orders
from keim.eim.webhooks.rows import Webhook
from keim.errors import Refused

CLOUD_EVENT: Final = "application/cloudevents+json; charset=utf-8"
TYPE_PREFIX: Final = "keim."
TEST_KIND: Final = "webhook_test"
OWN_KIND: Final = "webhook_changed"
FILTERS: Final = 50
_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\*?|\*", re.ASCII)


class Logged(msgspec.Struct, frozen=True):
    """An event as the log holds it: a leaf of its tenant's tree."""

    leaf: int
    at: datetime
    kind: str
    eid: str | None
    detail: bytes
    """JSON."""


class Stretch(NamedTuple):
    """A piece of a log."""

    events: Sequence[Logged]
    reached: int
    """Everything up to this leaf has been looked at."""


def event_id(tenant: str, leaf: int) -> str:
    """The same at every attempt: receivers tell repetitions by it."""
    return f"{tenant}-{leaf}"


def body_of(logged: Logged, *, tenant: str, eim_id: str, id_: str | None = None) -> bytes:
    members: dict[str, object] = {
        "specversion": "1.0",
        "id": event_id(tenant, logged.leaf) if id_ is None else id_,
        "source": f"//{eim_id}/tenants/{tenant}",
        "type": TYPE_PREFIX + logged.kind,
        "time": logged.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": msgspec.Raw(logged.detail),
    }
    if logged.eid is not None:
        members["subject"] = logged.eid
    return msgspec.json.encode(members)


def trial_event(now: datetime) -> Logged:
    return Logged(-1, now, TEST_KIND, None, b'{"text":"This is a test event; nothing has happened."}')


def kinds_of(webhook: Webhook, known: Collection[str]) -> tuple[str, ...]:
    """The kinds that it wants; none: all."""
    return tuple(sorted(kind for kind in known if wants_kind(webhook, kind))) if webhook.types else ()


def wants_kind(webhook: Webhook, kind: str) -> bool:
    return not webhook.types or any(fnmatchcase(kind, pattern) for pattern in webhook.types)


def is_about(webhook: Webhook, logged: Logged) -> bool:
    """A webhook is not told of itself: else each of its changes would be a delivery of its own."""
    return logged.kind == OWN_KIND and webhook.id.encode() in logged.detail


def wants_tags(webhook: Webhook, tags: Collection[str]) -> bool:
    return not webhook.tags or any(tag in tags for tag in webhook.tags)


def checked_types(types: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Patterns of kinds that exist: a mistyped one would stay silent for ever."""
    found = tuple(dict.fromkeys(kind.removeprefix(TYPE_PREFIX) for kind in types))
    if len(found) > FILTERS:
        raise Refused(f"at most {FILTERS} types", code="webhook.filter_invalid")
    for pattern in found:
        if not _PATTERN.fullmatch(pattern) or not any(fnmatchcase(kind, pattern) for kind in known):
            raise Refused(f"no event is of the kind {pattern[:80]!r}", code="webhook.filter_invalid")
    return found


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags that a device can carry."""
    try:
        return orders.checked_tags(tuple(tags))
    except Refused as fault:
        raise Refused(str(fault), code="webhook.filter_invalid") from None
