"""What happened at the SM-DP+: immutable, appended by the store in the transaction that makes it true.

The audit trail, callbacks and metrics read these. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

EVENT_VERSION = 1


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    at: datetime
    iccid: str | None = None
    eid: str | None = None
    transaction_id: bytes | None = None


class ProfileStocked(_Event, frozen=True, kw_only=True, tag="profile_stocked"):
    profile_type: str


class ProfileMoved(_Event, frozen=True, kw_only=True, tag="profile_moved"):
    """Every transition, with its time, cause, EID and session (SGP.22 asks for it)."""

    before: str
    after: str
    cause: str


class OrderConfirmed(_Event, frozen=True, kw_only=True, tag="order_confirmed"):
    """The matching id and the conditions of an order were fixed; never the code itself."""

    has_code: bool
    is_default: bool


class CodeRefused(_Event, frozen=True, kw_only=True, tag="code_refused"):
    attempts: int


class DownloadRefused(_Event, frozen=True, kw_only=True, tag="download_refused"):
    subject: str
    reason: str


class NotificationReceived(_Event, frozen=True, kw_only=True, tag="notification_received"):
    kind: str
    seq_number: int
    error_reason: int | None = None


class NotificationIgnored(_Event, frozen=True, kw_only=True, tag="notification_ignored"):
    """Not verifiable or of nobody we know; acknowledged all the same. Not stored: anybody can send these."""

    why: str


Event = (
    ProfileStocked
    | ProfileMoved
    | OrderConfirmed
    | CodeRefused
    | DownloadRefused
    | NotificationReceived
    | NotificationIgnored
)

UNSTORED: tuple[type, ...] = (NotificationIgnored,)
