"""What an SM-DS remembers: event records and sessions. Pure; imports floor 0 only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something waits for this eUICC at `rsp_server_address`, under `event_id`."""

    eid: str
    event_id: str
    rsp_server_address: str
    owner: str
    """Who registered it: the identity that mutual TLS has proved."""
    registered_at: datetime
    expires_at: datetime
    forwarded_id: str | None = None
    """Under which we told the root SM-DS that something waits here."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    transaction_id: bytes
    expires_at: datetime
    server_address: str
    server_challenge: bytes
    ci_pk_id: bytes
    version: int = 1
    answered: bytes | None = None
    """The eUICC's signature that was answered: only its repetition is answered again."""


class ErrandKind(StrEnum):
    FORWARD = "forward"
    """RegisterEvent of our own event at the root SM-DS."""
    WITHDRAW = "withdraw"
    """DeleteEvent of it."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    kind: ErrandKind
    body: bytes
    at: datetime


class Removal(msgspec.Struct, frozen=True):
    """An event record that goes."""

    eid: str
    event_id: str


class Happened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the audit trail keeps: registered, deleted, retrieved."""

    kind: str
    at: datetime
    eid: str
    event_id: str | None = None
    party: str | None = None
    count: int | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    transaction_id: bytes | None = None
    eid: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    session: Session | None = None
    events: tuple[EventRecord, ...] = ()
    """Of that EID, the oldest first; expired ones too."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    reply: Any
    rows: tuple[EventRecord | Session | Removal, ...] = ()
    happened: tuple[Happened, ...] = ()
    errands: tuple[Errand, ...] = ()
