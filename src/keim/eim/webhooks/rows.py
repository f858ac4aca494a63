"""A webhook and how far it has come, as rows. Pure; imports msgspec only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class WebhookState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """By a person, or by us after two days of failures; `reason` tells which."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator asked for; changed by people only."""

    tenant: str
    id: str
    url: str
    created_at: datetime
    secret: bytes
    """Wrapped."""
    previous_secret: bytes | None = None
    previous_until: datetime | None = None
    """Until then bodies are signed with both, so that receivers can change theirs in peace."""
    description: str = ""
    types: tuple[str, ...] = ()
    """Kinds of events, `result_*` for several; empty: all."""
    tags: tuple[str, ...] = ()
    """Only events of devices that carry one of these; empty: all events."""
    version: int = 1


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a webhook has come in its tenant's log; changed by the worker and by whoever resumes it."""

    tenant: str
    id: str
    after: int
    """The last leaf that was delivered or is none of its business."""
    state: WebhookState = WebhookState.ACTIVE
    reason: str = ""
    attempts: int = 0
    """At the leaf that comes next."""
    next_at: datetime | None = None
    failing_since: datetime | None = None
    version: int = 1


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt, as the delivery log keeps it."""

    tenant: str
    webhook: str
    event_id: str
    type: str
    at: datetime
    attempt: int
    milliseconds: int
    status: int | None = None
    """Of the receiver's answer; None when none came."""
    error: str = ""
    """Code of the error table when no answer came."""
    leaf: int | None = None
    """None: a test event."""
    cause: str = "event"
    """`event`, `resend` or `test`."""
    id: int = 0

    @property
    def has_succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300
